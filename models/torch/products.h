// The matrix products of a forward pass. In float32 they are torch's; so they are under Autocast, on a
// processor that multiplies bfloat16. On others torch's bfloat16 products take some fifty times as long as in
// float32. There the factors are rounded to bfloat16, multiplied in float32, and what comes out is rounded:
// what hardware computes, up to the order of its float32 sums; the way back likewise.
#pragma once
#include <ATen/core/Tensor.h>

namespace thimble::models {

// Whether torch multiplies bfloat16 matrices at least as fast as float32 on this processor.
bool MultipliesBfloat16();

at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight,
                  const at::Tensor& bias);                     // as at::linear; no bias: undefined
at::Tensor Product(const at::Tensor& a, const at::Tensor& b);  // as at::matmul
// As at::scaled_dot_product_attention without dropout.
at::Tensor FusedAttention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const at::Tensor& mask);

// How the functions above compute under Autocast where torch would be slow.
namespace rounded {
at::Tensor Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor Product(const at::Tensor& a, const at::Tensor& b);
at::Tensor FusedAttention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const at::Tensor& mask);
}  // namespace rounded

}  // namespace thimble::models
