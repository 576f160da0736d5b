// The start weights and gradients of tests/golden/optimizers.py, bit for bit.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace thimble::optim {

// In [-0.5, 0.5), a multiple of 2^-24.
inline double Hashed(uint32_t key, uint32_t index) {
  uint32_t x = index * 0x9e3779b9u + key * 0x85ebca6bu;
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return (static_cast<double>(x >> 8) - 8388608.0) / 16777216.0;
}

inline at::Tensor StartValue(uint32_t tensor, at::IntArrayRef sizes) {
  const at::Tensor value = at::empty(sizes);
  for (int64_t i = 0; i < value.numel(); ++i)
    value.data_ptr<float>()[i] = static_cast<float>(Hashed(1000 + tensor, static_cast<uint32_t>(i)));
  return value;
}

inline at::Tensor GradientValue(uint32_t tensor, uint32_t step, at::IntArrayRef sizes) {
  const at::Tensor value = at::empty(sizes);
  const int64_t columns = sizes.size() == 2 ? sizes[1] : 1;
  for (int64_t i = 0; i < value.numel(); ++i) {
    const auto index = static_cast<uint32_t>(i);
    const int64_t row = i / columns;
    const double drift = Hashed(2000 + tensor, index);
    double x = Hashed(100003 * (tensor + 1) + step, index) + 0.25 * ((drift > 0) - (drift < 0));
    x = std::ldexp(x, -static_cast<int>(row % 4));
    value.data_ptr<float>()[i] = sizes.size() == 2 && row == 1 ? 0.0f : static_cast<float>(x);
  }
  return value;
}

}  // namespace thimble::optim
