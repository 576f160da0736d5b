// Seeded random numbers, the same on every compiler: a key and a counter, so that a stream is saved as two
// numbers and independent streams are forked by name.
#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace thimble {

class Random {
 public:
  explicit Random(uint64_t seed) : key_(Mix(seed ^ 0x9e3779b97f4a7c15ull)) {}
  Random(uint64_t key, uint64_t counter) : key_(key), counter_(counter) {}  // restores a saved stream

  // An independent stream; does not advance this one.
  Random Fork(std::string_view name, uint64_t index = 0) const;

  uint64_t Next() { return Mix(key_ + 0x9e3779b97f4a7c15ull * ++counter_); }
  uint64_t Below(uint64_t n);  // uniform in [0, n), n > 0, without bias
  double Uniform();            // [0, 1)
  double Normal();             // mean 0, variance 1 (Box-Muller, two draws)
  bool Chance(double p) { return Uniform() < p; }

  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

  uint64_t key() const { return key_; }
  uint64_t counter() const { return counter_; }

 private:
  // The finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
  static uint64_t Mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  uint64_t key_;
  uint64_t counter_ = 0;
};

}  // namespace thimble
