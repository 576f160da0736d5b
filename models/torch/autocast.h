// Low-precision matrix products for a scope.
#pragma once
#include <c10/core/ScalarType.h>

namespace thimble::models {

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

}  // namespace thimble::models
