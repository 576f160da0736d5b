#include "models/torch/kernels/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "models/torch/kernels/dropout_loops.h"

namespace thimble::models::kernels {
namespace {

// Fixed, so that the blocks' keys do not depend on how threads share the work.
constexpr int64_t kBlock = 1 << 16;

template <typename T>
void RunBlocks(const DropoutBlock& all, uint64_t key, const T* x, T* y) {
  const int64_t n = static_cast<int64_t>(all.n);
  at::parallel_for(0, (n + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      DropoutBlock block = all;
      block.key = Random(key, static_cast<uint64_t>(b)).Next();
      block.n = static_cast<size_t>(std::min(kBlock, n - b * kBlock));
      DropoutLoop(block, x + b * kBlock, y + b * kBlock);
    }
  });
}

at::Tensor Masked(const at::Tensor& input, double probability, uint64_t key) {
  const at::Tensor x = input.contiguous();
  at::Tensor y = at::empty_like(x);
  DropoutBlock all;
  all.threshold = static_cast<int32_t>(std::lround(probability * 2147483647.0));
  all.scale = 1 / (1 - probability);
  all.n = static_cast<size_t>(x.numel());
  switch (x.scalar_type()) {
    case at::kFloat:
      RunBlocks(all, key, x.const_data_ptr<float>(), y.mutable_data_ptr<float>());
      break;
    case at::kDouble:
      RunBlocks(all, key, x.const_data_ptr<double>(), y.mutable_data_ptr<double>());
      break;
    case at::kBFloat16:
      RunBlocks(all, key, static_cast<const uint16_t*>(x.const_data_ptr()),
                static_cast<uint16_t*>(y.mutable_data_ptr()));
      break;
    default:
      THIMBLE_CHECK(false, std::string("dropout of ") + c10::toString(x.scalar_type()));
  }
  return y;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            double probability, int64_t key) {
    context->saved_data["probability"] = probability;
    context->saved_data["key"] = key;
    return Masked(x, probability, static_cast<uint64_t>(key));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const double probability = context->saved_data["probability"].toDouble();
    const uint64_t key = static_cast<uint64_t>(context->saved_data["key"].toInt());
    return {Masked(gradients[0], probability, key), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Dropout(const at::Tensor& x, double probability, uint64_t key) {
  THIMBLE_CHECK(probability > 0 && probability < 1, "dropout probability " + std::to_string(probability));
  THIMBLE_CHECK(x.device().is_cpu(), "dropout runs on the CPU");
  return DropoutFunction::apply(x, probability, static_cast<int64_t>(key));
}

}  // namespace thimble::models::kernels
