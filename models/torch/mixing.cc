#include "models/torch/mixing.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "models/torch/autocast.h"
#include "models/torch/products.h"

namespace thimble::models {
namespace {

// Matrices [.., n, n] that transform the first `length` of n numbers, zero elsewhere: of the cosine transform
// one, of Fourier's the cosines and the sines. `length` [.., 1, 1]. Products of places are made whole before
// they become angles: exact up to lengths of 4096.
std::vector<at::Tensor> TransformMatrices(const at::Tensor& length, int64_t n, Transform how) {
  const at::Tensor place = at::arange(n, length.options());
  const at::Tensor from = place.view({1, n}), to = place.view({n, 1});
  const at::Tensor real = at::logical_and(from < length, to < length).to(length.scalar_type());
  if (how == Transform::kDft) {
    const at::Tensor angle = at::fmod(from * to, length) * (2 * M_PI) / length;
    const at::Tensor scale = real / length.sqrt();
    return {angle.cos() * scale, angle.sin() * scale};
  }
  const at::Tensor angle = at::fmod((2 * from + 1) * to, 4 * length) * (2 * M_PI) / (4 * length);
  const at::Tensor scale = at::where(to == 0, at::ones_like(to), 2 * at::ones_like(to));
  return {angle.cos() * (scale / length).sqrt() * real};
}

}  // namespace

at::Tensor FirstOfGroups(const at::Tensor& larger, at::IntArrayRef sizes, const LinearForm& form) {
  if (larger.sizes() == sizes) return larger;
  const int64_t rows = sizes[0] / form.groups;  // of a group
  const int64_t wide = sizes.size() > 1 ? larger.size(1) : 1, inner = sizes.size() > 1 ? sizes[1] : 1;
  const int64_t high = form.as_many_groups ? larger.size(0) / form.groups : rows * wide / inner;
  THIMBLE_CHECK(
      high >= rows && larger.size(0) % high == 0 && larger.size(0) / high >= form.groups && wide >= inner,
      "groups of a larger weight");
  const at::Tensor part =
      larger.unflatten(0, {larger.size(0) / high, high}).narrow(0, 0, form.groups).narrow(1, 0, rows);
  return (sizes.size() > 1 ? part.narrow(2, 0, inner) : part).flatten(0, 1);
}

at::Tensor GroupedProduct(const at::Tensor& x, const at::Tensor& weight, int64_t groups) {
  const at::Tensor parts = x.flatten(0, -2).unflatten(1, {groups, -1}).transpose(0, 1);           // [g, N, i]
  const at::Tensor products = Product(parts, weight.unflatten(0, {groups, -1}).transpose(1, 2));  // [g, N, o]
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return products.transpose(0, 1).reshape(sizes);
}

at::Tensor Interleaved(const at::Tensor& x, int64_t groups) {
  const at::Tensor parts = x.unflatten(-1, {groups, -1, groups});
  return parts.transpose(-3, -1).flatten(-3);
}

at::Tensor Spectrum(const at::Tensor& x, const at::Tensor& mask, Transform how) {
  // Angles want float32, whatever products are rounded to.
  const Autocast none(false);
  const at::ScalarType type = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
  const at::Tensor in = x.to(type);
  const at::Tensor lengths = mask.to(type).sum(1).view({-1, 1, 1, 1});
  const auto tokens = TransformMatrices(lengths, x.size(2), how);
  const auto channels =
      TransformMatrices(at::full({1, 1}, static_cast<double>(x.size(3)), in.options()), x.size(3), how);
  at::Tensor sum = at::matmul(tokens[0], at::matmul(in, channels[0].t()));
  if (how == Transform::kDft) sum = sum - at::matmul(tokens[1], at::matmul(in, channels[1]));
  return sum.to(x.scalar_type());
}

std::vector<at::Tensor> ChannelTransform(int64_t channels, Transform how) {
  return TransformMatrices(at::full({1, 1}, static_cast<double>(channels), at::kFloat), channels, how);
}

at::Tensor SumOfNeighbours(const at::Tensor& x, int64_t tokens, int kernel,
                           const std::function<at::Tensor(int)>& factor) {
  const int64_t length = x.size(tokens);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[tokens] = kernel / 2;
  const at::Tensor none = at::zeros(sizes, x.options());
  const at::Tensor padded = at::cat({none, x, none}, tokens);
  at::Tensor sum;
  for (int j = 0; j < kernel; ++j) {
    const at::Tensor moved = padded.narrow(tokens, j, length);
    sum = sum.defined() ? at::addcmul(sum, moved, factor(j)) : moved * factor(j);
  }
  return sum;
}

at::Tensor MiddleTaps(const at::Tensor& larger, int64_t channels, int64_t taps) {
  THIMBLE_CHECK(larger.size(0) >= channels && larger.size(1) >= taps, "taps of a larger filter");
  return larger.narrow(0, 0, channels).narrow(1, (larger.size(1) - taps) / 2, taps);
}

at::Tensor LongConvolution(const at::Tensor& x, const at::Tensor& filter) {
  // Spectra want float32, whatever products are rounded to.
  const Autocast none(false);
  const at::ScalarType type = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
  const int64_t length = x.size(1), taps = std::min(filter.size(1), 2 * length - 1), period = 2 * length;
  // Tap j stands for the token that is j - taps / 2 further. In a circle of twice the row's length no tap
  // meets a token from the other end.
  const at::Tensor near = MiddleTaps(filter.to(type), filter.size(0), taps);
  const at::Tensor circle = at::roll(at::constant_pad_nd(near, {0, period - taps}), {-(taps / 2)}, {1});
  const at::Tensor spectrum =
      at::fft_rfft(x.to(type), period, 1) * at::fft_rfft(circle, period, 1).conj().t();
  return at::fft_irfft(spectrum, period, 1).narrow(1, 0, length).to(x.scalar_type());
}

}  // namespace thimble::models
