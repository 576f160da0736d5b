#include "base/random.h"

#include <cmath>

#include "base/hash.h"

namespace thimble {

Random Random::Fork(std::string_view name, uint64_t index) const {
  return Random(Mix(key_ ^ Hash64(name, index)), 0);
}

uint64_t Random::Below(uint64_t n) {
  // Rejects the incomplete last run of n.
  const uint64_t limit = n * (UINT64_MAX / n);
  uint64_t draw = Next();
  while (draw >= limit) draw = Next();
  return draw % n;
}

double Random::Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

double Random::Normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
  return radius * std::cos(2.0 * M_PI * Uniform());
}

}  // namespace thimble
