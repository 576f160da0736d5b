// The index of a model in many weight files: model.safetensors.index.json. Free of LibTorch.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace thimble::models {

using WeightIndex = std::map<std::string, std::string>;  // tensor: file in the same directory

// Error (exit 2) unless `text` holds "weight_map", whose values are plain names of files, with a tensor at
// least. `path` is for messages.
WeightIndex ParseWeightIndex(const std::string& path, std::string_view text);

}  // namespace thimble::models
