#include "optim/floats.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"

namespace thimble::optim {
namespace {
// Elements: 64 KiB an array, so that the few arrays of a rule fit a core's own cache.
constexpr int64_t kPiece = 1 << 14;
}  // namespace

Floats::Floats(const at::Tensor& tensor) : tensor_(tensor), floats_(tensor) {
  if (tensor.is_contiguous() && tensor.scalar_type() == at::kFloat && tensor.is_cpu()) return;
  floats_ = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
}

void Floats::Store() {
  const at::NoGradGuard no_grad;
  if (floats_.is_same(tensor_))
    tensor_.unsafeGetTensorImpl()->bump_version();
  else
    tensor_.copy_(floats_);
}

void RefuseSparse(const Parameter& parameter) {
  const at::Tensor& gradient = parameter.value.grad();
  if (gradient.defined() && gradient.layout() != at::kStrided)
    throw BadRequest("parameter " + parameter.name, "optimizers and gradient clipping need a dense gradient",
                     "a sparse one", "a lookup without the sparse option");
}

void ForPieces(int64_t n, int threads, const std::function<void(int64_t first, int64_t count)>& body) {
  ParallelFor(static_cast<size_t>((n + kPiece - 1) / kPiece), threads, [&](size_t i) {
    const int64_t first = static_cast<int64_t>(i) * kPiece;
    body(first, std::min(kPiece, n - first));
  });
}

double SumPieces(int64_t n, int threads, const std::function<double(int64_t first, int64_t count)>& body) {
  std::vector<double> parts(static_cast<size_t>((n + kPiece - 1) / kPiece));
  ForPieces(n, threads, [&](int64_t first, int64_t count) {
    parts[static_cast<size_t>(first / kPiece)] = body(first, count);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace thimble::optim
