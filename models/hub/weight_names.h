// Names of a file's tensors where the model was wrapped when it was saved. Free of LibTorch.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "models/hub/hugging_face.h"

namespace thimble::models {

struct UnwrappedNames {
  std::vector<std::string> names;  // in the order given
  // "names have 'module.' before them, which is left out"; empty: nothing was.
  std::string note;
  // Where names stay as they are, why: "the encoder's names begin with 'encoder.', but 'classifier.weight'
  // does not".
  std::string obstacle;
};

// Without the parts that torch.compile, FSDP and activation checkpointing put into names, wherever they
// stand, and without what stands before the model's own names ("module." of DataParallel, "model." of a class
// around it, "bert.bert."), if that stands before every one of them. Of no family: a student of ours.
UnwrappedNames UnwrapNames(const std::vector<std::string>& names, std::optional<Family> family);

// "a, b, c": all of them up to 20; of more the first five, and how many more there are.
std::string ListNames(const std::vector<std::string>& names);

}  // namespace thimble::models
