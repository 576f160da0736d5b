// float32, or bfloat16 matrix products over float32 weights.
#pragma once
#include <c10/core/ScalarType.h>

#include "proto/recipe.pb.h"

namespace thimble::train {

// AUTO to FLOAT32 or BFLOAT16 by what the CPU multiplies natively. Decide once, store, pass on.
proto::Precision ResolvePrecision(proto::Precision precision);

// This thread's autocast mode on the CPU for a scope: bfloat16, or none. Casts of weights are not cached:
// torch keeps one cache for all threads, so that a member's sums would depend on when its neighbours clear
// it.
class Autocast {
 public:
  explicit Autocast(bool bfloat16);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool enabled_, cache_;
  at::ScalarType type_;
};

}  // namespace thimble::train
