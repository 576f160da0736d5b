// Linear transforms against their definitions: sums over tokens and channels, of the row's own length.
// numpy.fft.fft2(x, norm="ortho").real and scipy.fft.dctn(x, norm="ortho") are the same sums.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

constexpr int kHeads = 2, kWidth = 4;  // channels of a head

double DftOf(const at::Tensor& x, int64_t t, int64_t c) {  // x [n, kWidth]
  const int64_t n = x.size(0);
  std::complex<double> sum = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < kWidth; ++j)
      sum +=
          x[i][j].item<double>() * std::polar(1.0, -2 * M_PI *
                                                       (static_cast<double>(t * i) / static_cast<double>(n) +
                                                        static_cast<double>(c * j) / kWidth));
  return sum.real() / std::sqrt(static_cast<double>(n * kWidth));
}

double Scale(int64_t k, int64_t n) { return std::sqrt((k == 0 ? 1.0 : 2.0) / static_cast<double>(n)); }

double DctOf(const at::Tensor& x, int64_t t, int64_t c) {
  const int64_t n = x.size(0);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < kWidth; ++j)
      sum += x[i][j].item<double>() *
             std::cos(M_PI * static_cast<double>((2 * i + 1) * t) / static_cast<double>(2 * n)) *
             std::cos(M_PI * static_cast<double>((2 * j + 1) * c) / (2 * kWidth));
  return sum * Scale(t, n) * Scale(c, kWidth);
}

TEST(FourierTest, TransformsTokensAndChannelsOfAHead) {
  for (const bool cosines : {false, true}) {
    const Model model = ShakenModel(std::string("vocabulary: 50 positions: 20 hidden: 12 heads: 3 embedding "
                                                "{ plain {} } layer { mixer { fourier { heads: 2 ") +
                                    (cosines ? "transform: DCT" : "") +
                                    " } } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' } }");
    const at::NoGradGuard no_grad;
    const Batch batch = MakeBatch({7, 4});
    const at::Tensor x = DrawnState({2, 7, 12}, 4);
    const at::Tensor got = ComputeMixer(model, 0, model.shape.layers[0].mixer, x, batch, {}).context;
    const at::Tensor values = Linear(model, "layer.0.fourier.value", x).to(at::kDouble);
    for (int b = 0; b < 2; ++b)
      for (int head = 0; head < kHeads; ++head) {
        const int real = b == 0 ? 7 : 4;
        const at::Tensor own = values[b].narrow(0, 0, real).narrow(1, head * kWidth, kWidth);
        for (int t = 0; t < 7; ++t)
          for (int c = 0; c < kWidth; ++c) {
            const double wanted = t >= real ? 0 : cosines ? DctOf(own, t, c) : DftOf(own, t, c);
            EXPECT_NEAR(got[b][t][head * kWidth + c].item<double>(), wanted, 1e-5)
                << cosines << b << head << t << c;
          }
      }
  }
}

}  // namespace
}  // namespace thimble::models
