// How many tokens of a row are read.
#pragma once
#include <string>

#include "data/dataset.h"
#include "data/task.h"
#include "models/hub/pretrained.h"
#include "proto/recipe.pb.h"

namespace thimble::tools {

// Tokens of a training row where nothing says: 128; 384 of a window with a question and a passage, as
// run_squad.py; not more than the model has positions.
int TokenLimit(const data::TaskEntry& task, const models::ResolvedArchitecture& shape);

// What training reads where the recipe does not say.
struct TrainingLength {
  int tokens = 0;
  std::string of;      // the directory of the model whose length it is; empty: TokenLimit
  bool usual = false;  // TokenLimit is the same
};
// The length that `trained` was trained with, if it says (nullptr: there is no such model); else TokenLimit.
// Not more than `shape` has positions.
TrainingLength LengthLike(const models::Pretrained* trained, const data::TaskEntry& task,
                          const models::ResolvedArchitecture& shape);
// Sets the recipe's max_length where a file left it out and a model says. Says whose length it is where that
// is not the usual one, or what the model was trained with where the recipe has another.
void TakeLength(const TrainingLength& length, proto::Recipe* recipe);
void SayLength(const TrainingLength& length, int tokens);

// Tokens of a row that is scored: `asked`, 0: models::ReadLength. Says what the model was trained with where
// that is another number, and where it has fewer positions.
int ScoringLength(const models::Pretrained& model, int asked);
// Says that nothing tells how many tokens the model was trained with, where rows are longer than training
// usually reads.
void SayUnknownLength(const models::Pretrained& model, const data::TaskEntry& task,
                      const data::Dataset& data);

}  // namespace thimble::tools
