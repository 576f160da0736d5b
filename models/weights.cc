#include "models/weights.h"

#include <ATen/ATen.h>

#include <cstdio>

#include "base/error.h"
#include "base/hash.h"

namespace thimble::models {

void Weights::Add(const std::string& name, at::Tensor tensor) {
  THIMBLE_CHECK(!Has(name), "weight '" + name + "' added twice");
  index_.emplace(name, items_.size());
  items_.emplace_back(name, std::move(tensor));
}

const at::Tensor& Weights::at(const std::string& name) const {
  const auto it = index_.find(name);
  THIMBLE_CHECK(it != index_.end(), "no weight '" + name + "'");
  return items_[it->second].second;
}

at::Tensor& Weights::at(const std::string& name) {
  return const_cast<at::Tensor&>(static_cast<const Weights*>(this)->at(name));
}

Weights Weights::Clone() const {
  Weights copy;
  for (const auto& [name, tensor] : items_) {
    copy.Add(name, tensor.detach().clone(at::MemoryFormat::Contiguous));
  }
  return copy;
}

int64_t Weights::Elements() const {
  int64_t sum = 0;
  for (const auto& [name, tensor] : items_) sum += tensor.numel();
  return sum;
}

void Weights::RequireGrad(bool on) {
  for (auto& [name, tensor] : items_) {
    if (tensor.is_floating_point()) tensor.set_requires_grad(on);
  }
}

std::string Weights::Hash() const {
  uint64_t hash = 0;
  for (const auto& [name, tensor] : items_) {
    const at::Tensor bytes = tensor.detach().contiguous();
    hash = Hash64(name, hash);
    hash = Hash64({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()}, hash);
  }
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace thimble::models
