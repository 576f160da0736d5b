#include "models/torch/kernels/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace thimble::models::kernels {
namespace {

constexpr int64_t kElements = (1 << 20) + 37;

at::Tensor Kept(double probability, uint64_t key, int64_t n = kElements) {
  return Dropout(at::ones({n}), probability, key).ne(0).to(at::kDouble);
}

TEST(DropoutTest, MeanAndVariance) {
  for (const double p : {0.01, 0.1, 0.5, 0.9}) {
    for (const uint64_t key : {0ull, 1ull, 0x123456789abcdefull, ~0ull}) {
      const at::Tensor y = Dropout(at::ones({kElements}), p, key).to(at::kDouble);
      const double variance = p / (1 - p);  // of one element, whose mean is 1
      EXPECT_NEAR(y.mean().item<double>(), 1, 5 * std::sqrt(variance / kElements)) << p << " " << key;
      EXPECT_NEAR(y.var().item<double>(), variance, 0.02 * variance) << p << " " << key;
      EXPECT_NEAR(y.max().item<double>(), 1 / (1 - p), 1e-6);
    }
  }
}

// Counts of windows scatter as a binomial distribution's, and neighbours are uncorrelated at every distance
// tried.
TEST(DropoutTest, ElementsAreIndependent) {
  const double p = 0.3, q = 1 - p;
  const at::Tensor kept = Kept(p, 5, 1 << 20);
  for (const int64_t window : {4, 64, 1024}) {
    const at::Tensor counts = kept.view({-1, window}).sum(1);
    const double windows = static_cast<double>(counts.numel());
    EXPECT_NEAR(counts.var().item<double>() / (window * p * q), 1, 5 * std::sqrt(2 / windows)) << window;
  }
  const at::Tensor centred = kept - q;
  for (const int64_t lag : {1, 2, 3, 4, 8, 16, 64, 384, 1536, 65536}) {
    const int64_t n = centred.numel() - lag;
    const double correlation =
        (centred.narrow(0, 0, n) * centred.narrow(0, lag, n)).mean().item<double>() / (p * q);
    EXPECT_NEAR(correlation, 0, 5 / std::sqrt(double(n))) << lag;
  }
}

TEST(DropoutTest, KeysAreIndependent) {
  const double p = 0.3, q = 1 - p;
  Random random(1);
  const uint64_t first = random.Next();
  for (const uint64_t other :
       std::vector<uint64_t>{first + 1, first ^ (1ull << 32), first ^ (1ull << 63), random.Next()}) {
    const double both = ((Kept(p, first) - q) * (Kept(p, other) - q)).mean().item<double>() / (p * q);
    EXPECT_NEAR(both, 0, 5 / std::sqrt(double(kElements)));
  }
}

TEST(DropoutTest, SameForAnyNumberOfThreads) {
  const at::Tensor x = at::randn({3, 100000});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = Dropout(x, 0.1, 42);
  at::set_num_threads(3);
  const at::Tensor three = Dropout(x, 0.1, 42);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, three));
}

// The same bits for every compiler and instruction set; tests/golden/dropout.py writes these rows.
TEST(DropoutTest, Golden) {
  struct Golden {
    uint64_t key;
    int64_t first;
    const char* kept;
  };
  const std::vector<Golden> goldens = {
      {0ull, 0, "110011110100101100011011101100101001000110011101"},
      {42ull, 0, "110101110010101010110111010110101101111011100000"},
      {42ull, 1000, "010000110000010011010101000000101100011010111000"},
      {42ull, 65516, "100111010111100101001100010110001001010001010110"},
      {18446744073709551615ull, 0, "000111010001100000101110001111000110111001001101"},
  };
  for (const Golden& golden : goldens) {
    const at::Tensor y = Dropout(at::ones({70000}), 0.5, golden.key);
    std::string kept;
    for (int64_t i = 0; i < 48; ++i) kept += y[golden.first + i].item<float>() > 0 ? '1' : '0';
    EXPECT_EQ(kept, golden.kept) << golden.key << " from " << golden.first;
  }
}

TEST(DropoutTest, AllTypesDrawTheSameMask) {
  const at::Tensor x = at::randn({1000});
  const at::Tensor y = Dropout(x, 0.25, 3);
  const at::Tensor kept = y.ne(0);
  const at::Tensor low = x.to(at::kBFloat16);
  const at::Tensor y_low = Dropout(low, 0.25, 3), y_double = Dropout(x.to(at::kDouble), 0.25, 3);
  EXPECT_EQ(y_low.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(y_low.ne(0), kept));
  EXPECT_TRUE(at::equal(y_double.ne(0), kept));
  // float32 times 4/3, rounded as LibTorch rounds.
  EXPECT_TRUE(at::equal(y_low, at::where(kept, low.to(at::kFloat) * float(4.0 / 3), 0).to(at::kBFloat16)));
  EXPECT_TRUE(at::allclose(y, at::where(kept, x * (4.0 / 3), 0)));
}

TEST(DropoutTest, NotANumberStaysOne) {
  const at::Tensor x = at::full({100}, std::nan(""), at::kBFloat16);
  const at::Tensor y = Dropout(x, 0.5, 1);
  const at::Tensor kept = Dropout(at::ones({100}), 0.5, 1).ne(0);
  EXPECT_TRUE(at::equal(y.isnan(), kept));
}

TEST(DropoutTest, GradientHasTheMaskOfTheForwardPass) {
  const at::Tensor x = at::ones({50, 2000}).set_requires_grad(true);
  const at::Tensor y = Dropout(x, 0.1, 8);
  y.sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), y.detach()));
}

TEST(DropoutTest, EmptyTensor) { EXPECT_EQ(Dropout(at::empty({0, 4}), 0.1, 1).numel(), 0); }

}  // namespace
}  // namespace thimble::models::kernels
