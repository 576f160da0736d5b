// The weights of a Hugging Face directory, in one file or many, of either format. Looked for in this order,
// as transformers does: model.safetensors, model.safetensors.index.json, pytorch_model.bin,
// pytorch_model.bin.index.json.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/hub/hugging_face.h"

namespace thimble::models {

struct StoredTensor {
  std::string name;                  // in the file
  std::string file;                  // path
  std::vector<int64_t> sizes;        // known before anything is read
  std::function<at::Tensor()> read;  // a copy; not thread-safe; errors as the readers of the formats
};

struct WeightFiles {
  std::string path;                             // of the only file, or of the index
  std::string format;                           // "safetensors", "pickle"
  std::vector<std::string> files;               // names within the directory
  int64_t bytes = 0;                            // of these files
  std::map<std::string, StoredTensor> tensors;  // by names without what wrapped the model (UnwrapNames)
  std::string note, obstacle;                   // of UnwrapNames
};

// Error (exit 2) if there are none, an index names a file outside the directory or one that is absent, a name
// stands in two files or, without what wrapped the model, twice, or the index lists tensors that its files
// lack. `family`: the model's; nothing of our own.
WeightFiles OpenWeightFiles(const std::string& directory, std::optional<Family> family);

}  // namespace thimble::models
