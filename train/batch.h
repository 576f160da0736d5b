// Rows of a dataset as tensors: where data meets models.
#pragma once
#include <string>
#include <vector>

#include "base/random.h"
#include "data/dataset.h"
#include "data/text/wordpiece.h"
#include "models/model.h"

namespace thimble::proto {
class Masking;
class Recipe;
}  // namespace thimble::proto

namespace thimble::train {

models::TaskHead HeadOf(data::TaskKind kind);  // what a task's head reads

// Padded to the longest row, or to `length` where that is longer.
models::Batch MakeBatch(const data::Dataset& data, const std::vector<int>& rows, int length = 0);
// With tokens hidden for masked language modelling; labels [B, T] are what was there. Each row draws from its
// own stream, so that what is hidden in it does not depend on its company.
models::Batch MakeMaskedBatch(const data::Dataset& data, const std::vector<int>& rows,
                              const data::WordPiece& tokenizer, const proto::Masking& masking,
                              const Random& random, int length = 0);
// What every batch of a training run is padded to: batching.max_length where a loss counts padding, else 0.
int PaddedLength(const proto::Recipe& recipe);
// The whole dataset in evaluation order.
std::vector<models::Batch> MakeBatches(const data::Dataset& data, int size);

// Error (exit 2) if a token, a segment or a position of `data` is outside the model's tables, or a label
// outside its head: tokenizer, data and model do not belong together. `who` is the model's name in the
// message.
void CheckFits(const models::Model& model, const data::Dataset& data, const std::string& who);

}  // namespace thimble::train
