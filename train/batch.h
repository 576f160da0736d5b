// Rows of a dataset as tensors: where data meets models.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"

namespace thimble::train {

models::Batch MakeBatch(const data::Dataset& data, const std::vector<int>& rows);
// The whole dataset in evaluation order.
std::vector<models::Batch> MakeBatches(const data::Dataset& data, int size);

// Error (exit 2) if a token, a segment or a position of `data` is outside the model's tables, or a label
// outside its head: tokenizer, data and model do not belong together. `who` is the model's name in the
// message.
void CheckFits(const models::Model& model, const data::Dataset& data, const std::string& who);

}  // namespace thimble::train
