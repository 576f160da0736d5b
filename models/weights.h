// Named tensors in a fixed order: a model's parameters, a checkpoint's content.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace thimble::models {

class Weights {
 public:
  void Add(const std::string& name, at::Tensor tensor);  // CHECK: the name is new
  bool Has(const std::string& name) const { return index_.count(name) > 0; }
  const at::Tensor& at(const std::string& name) const;  // CHECK: the name is there
  at::Tensor& at(const std::string& name);

  size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }  // pairs (name, tensor) in order of addition
  auto end() const { return items_.end(); }

  Weights Clone() const;     // deep copy, detached
  int64_t Elements() const;  // over all tensors
  void RequireGrad(bool on);
  std::string Hash() const;  // of names, order and bytes; 16 hex digits

 private:
  std::vector<std::pair<std::string, at::Tensor>> items_;
  std::map<std::string, size_t> index_;
};

}  // namespace thimble::models
