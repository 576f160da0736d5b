// What some mixers compute with tensors beyond products of states with weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "models/encoder/ops.h"

namespace thimble::models {

// Of a weight of groups, [out', in' / groups'], or of its bias, [out'], the part that a smaller model has, of
// `sizes`: of each group the first rows and columns. Unless there are always as many groups, their weights
// are as high as they are wide times out / (groups inner), in both.
at::Tensor FirstOfGroups(const at::Tensor& larger, at::IntArrayRef sizes, const LinearForm& form);

// x [.., c], weight [out, c / groups]: [.., out], each group of channels by its own part of the weight.
at::Tensor GroupedProduct(const at::Tensor& x, const at::Tensor& weight, int64_t groups);

at::Tensor Interleaved(const at::Tensor& x, int64_t groups);  // Ops::Interleave

// x [B, H, T, c], mask [B, T] with real tokens first: both sides transformed, tokens by the transform of the
// row's own length.
at::Tensor Spectrum(const at::Tensor& x, const at::Tensor& mask, Transform how);

// Its matrices for a head's channels, [c, c], to be multiplied with [.., c] transposed: cosines; of Fourier's
// the sines as well, whose products are subtracted.
std::vector<at::Tensor> ChannelTransform(int64_t channels, Transform how);

// The sum over j of x, moved by j - kernel / 2 along `tokens` (an axis; zeros beyond the ends), times
// factor(j).
at::Tensor SumOfNeighbours(const at::Tensor& x, int64_t tokens, int kernel,
                           const std::function<at::Tensor(int)>& factor);

// The part that a smaller model has of a depthwise filter [c', k']: the first channels, the middle taps: [c,
// k].
at::Tensor MiddleTaps(const at::Tensor& larger, int64_t channels, int64_t taps);

// Ops::Depthwise of a long filter [c, k], k odd, on x [B, T, c]: by transforms of length 2 T, in float32.
// Only the middle 2 T - 1 taps are read.
at::Tensor LongConvolution(const at::Tensor& x, const at::Tensor& filter);

}  // namespace thimble::models
