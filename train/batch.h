// Rows of a dataset as tensors: where data meets models.
#pragma once
#include <string>
#include <vector>

#include "base/random.h"
#include "data/dataset.h"
#include "data/wordpiece.h"
#include "models/model.h"

namespace thimble::proto {
class Masking;
}

namespace thimble::train {

models::Head HeadOf(data::TaskKind kind);  // what a task's head reads

models::Batch MakeBatch(const data::Dataset& data, const std::vector<int>& rows);
// With tokens hidden for masked language modelling; labels [B, T] are what was there. Each row draws from its
// own stream, so that what is hidden in it does not depend on its company.
models::Batch MakeMaskedBatch(const data::Dataset& data, const std::vector<int>& rows,
                              const data::WordPiece& tokenizer, const proto::Masking& masking,
                              const Random& random);
// The whole dataset in evaluation order.
std::vector<models::Batch> MakeBatches(const data::Dataset& data, int size);

// Error (exit 2) if a token, a segment or a position of `data` is outside the model's tables, or a label
// outside its head: tokenizer, data and model do not belong together. `who` is the model's name in the
// message.
void CheckFits(const models::Model& model, const data::Dataset& data, const std::string& who);

}  // namespace thimble::train
