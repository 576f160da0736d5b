#include "models/torch/autocast.h"

#include <ATen/ATen.h>

#include <ATen/autocast_mode.h>

namespace thimble::models {

Autocast::Autocast(bool bfloat16)
    : enabled_(at::autocast::is_autocast_enabled(at::kCPU)),
      cache_(at::autocast::is_autocast_cache_enabled()),
      type_(at::autocast::get_autocast_dtype(at::kCPU)) {
  at::autocast::set_autocast_enabled(at::kCPU, bfloat16);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_cache_enabled(false);
}

Autocast::~Autocast() {
  at::autocast::set_autocast_enabled(at::kCPU, enabled_);
  at::autocast::set_autocast_dtype(at::kCPU, type_);
  at::autocast::set_autocast_cache_enabled(cache_);
}

}  // namespace thimble::models
