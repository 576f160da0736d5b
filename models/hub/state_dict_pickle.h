// The pickle inside a file of torch.save(state_dict): names and places of tensors. Free of LibTorch.
//
// A pickle is a program for a stack machine that may call any function of Python. This reader knows the
// instructions and the few names that a state dict needs, computes what they mean, and calls nothing:
// torch._utils._rebuild_tensor_v2 and _rebuild_parameter, torch.*Storage, collections.OrderedDict.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/hub/data_type.h"

namespace thimble::models {

struct PickledTensor {
  std::string name;
  DataType type = DataType::kF32;
  std::string storage;                  // its key: the archive's entry data/KEY
  int64_t storage_items = 0;            // numbers in the storage
  int64_t offset = 0;                   // of the first number, in numbers
  std::vector<int64_t> sizes, strides;  // strides in numbers, not negative
};

// In the order of the dictionary. Every tensor lies inside its storage and has no more numbers than it. Error
// (exit 2) with `where`: another global (named), another instruction, a value that is no tensor, a name
// twice, or more than the limits in the source allow.
std::vector<PickledTensor> ReadStateDictPickle(const std::string& where, std::string_view bytes);

}  // namespace thimble::models
