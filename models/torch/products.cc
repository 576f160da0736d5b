#include "models/torch/products.h"

#include <ATen/ATen.h>

#include <ATen/autocast_mode.h>

#include "models/torch/autocast.h"

namespace thimble::models {
namespace {

// float32 that bfloat16 can say. Gradients are rounded on their way back through it, as a product's in
// bfloat16 are.
at::Tensor Rounded(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kFloat); }

bool Rounds() { return at::autocast::is_autocast_enabled(at::kCPU) && !MultipliesBfloat16(); }

}  // namespace

bool MultipliesBfloat16() {
#if defined(__x86_64__)
  // With AVX-512 alone oneDNN, which torch multiplies bfloat16 with, is as fast as in float32; without it
  // torch does not ask it.
  static const bool does = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512dq");
  return does;
#else
  return true;
#endif
}

at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return Rounds() ? rounded::Linear(x, weight, bias) : at::linear(x, weight, bias);
}

at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  return Rounds() ? rounded::Product(a, b) : at::matmul(a, b);
}

at::Tensor FusedAttention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const at::Tensor& mask) {
  return Rounds() ? rounded::FusedAttention(query, key, value, mask)
                  : at::scaled_dot_product_attention(query, key, value, mask);
}

namespace rounded {

at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const Autocast none(false);
  return at::linear(Rounded(x), Rounded(weight), bias.defined() ? Rounded(bias) : bias).to(at::kBFloat16);
}

at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  const Autocast none(false);
  return at::matmul(Rounded(a), Rounded(b)).to(at::kBFloat16);
}

at::Tensor FusedAttention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const at::Tensor& mask) {
  const Autocast none(false);
  return at::scaled_dot_product_attention(Rounded(query), Rounded(key), Rounded(value), Rounded(mask))
      .to(at::kBFloat16);
}

}  // namespace rounded
}  // namespace thimble::models
