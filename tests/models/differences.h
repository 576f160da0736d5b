// Gradients against central differences, in double precision.
#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/random.h"

namespace thimble::models {

// Compares d f / d tensor with central differences where it is largest and at `places` random entries.
inline void CheckGradient(const std::function<at::Tensor()>& f, const at::Tensor& tensor,
                          const std::string& what, int places) {
  tensor.mutable_grad() = at::Tensor();
  f().backward();
  ASSERT_TRUE(tensor.grad().defined()) << what;
  const at::Tensor gradient = tensor.grad().contiguous();
  const at::NoGradGuard no_grad;
  double* values = tensor.mutable_data_ptr<double>();
  Random random = Random(1).Fork(what);
  constexpr double kStep = 1e-5;
  for (int p = 0; p <= places; ++p) {
    const int64_t i =
        p == 0 ? gradient.abs().argmax().item<int64_t>() : static_cast<int64_t>(random.Below(tensor.numel()));
    const double before = values[i];
    values[i] = before + kStep;
    const double above = f().item<double>();
    values[i] = before - kStep;
    const double below = f().item<double>();
    values[i] = before;
    const double expected = (above - below) / (2 * kStep), got = gradient.const_data_ptr<double>()[i];
    EXPECT_NEAR(got, expected, 1e-6 * std::max(1.0, std::abs(expected))) << what << " entry " << i;
  }
}

}  // namespace thimble::models
