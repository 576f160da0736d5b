// Products of rounded factors beside torch's own bfloat16 ones under autocast.
#include "models/torch/products.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "models/torch/autocast.h"

namespace thimble::models {
namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// The result, then the gradients of the inputs under a fixed random one of the result.
std::vector<at::Tensor> Both(const Function& function, const std::vector<at::Tensor>& values, bool autocast) {
  std::vector<at::Tensor> inputs;
  for (const auto& value : values) inputs.push_back(value.clone().requires_grad_(true));
  at::Tensor result;
  {
    const Autocast scope(autocast);
    result = function(inputs);
  }
  at::manual_seed(7);
  const at::Tensor gradient = at::randn(result.sizes());
  result.backward(gradient.to(result.scalar_type()));
  std::vector<at::Tensor> all = {result.detach()};
  for (const auto& input : inputs) all.push_back(input.grad());
  return all;
}

double ShareOfEqual(const at::Tensor& a, const at::Tensor& b) {
  return (a == b).to(at::kDouble).mean().item<double>();
}

// Sums differ in order only, which now and then moves a result to the neighbouring bfloat16.
void ExpectAlike(const Function& ours, const Function& torchs, const std::vector<at::Tensor>& values) {
  const auto a = Both(ours, values, true), b = Both(torchs, values, true),
             exact = Both(torchs, values, false);
  for (size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(i == 0 ? "result" : "gradient of input " + std::to_string(i));
    EXPECT_EQ(a[i].scalar_type(), b[i].scalar_type());
    const at::Tensor ours = a[i].to(at::kFloat), torchs = b[i].to(at::kFloat);
    const double largest = torchs.abs().max().item<double>();
    EXPECT_LE((ours - torchs).abs().max().item<double>(), largest / 128);
    EXPECT_GT(ShareOfEqual(ours, torchs), 0.95);
    EXPECT_LT(ShareOfEqual(exact[i].to(at::kBFloat16).to(at::kFloat), torchs), 0.9)
        << "factors that were not rounded would do as well";
  }
}

class Products : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(3); }
};

TEST_F(Products, LinearIsAutocasts) {
  const std::vector<at::Tensor> values = {at::randn({3, 7, 96}), at::randn({80, 96}), at::randn({80})};
  ExpectAlike([](const auto& v) { return rounded::Linear(v[0], v[1], v[2]); },
              [](const auto& v) { return at::linear(v[0], v[1], v[2]); }, {values[0], values[1], values[2]});
}

TEST_F(Products, ProductIsAutocasts) {
  ExpectAlike([](const auto& v) { return rounded::Product(v[0], v[1]); },
              [](const auto& v) { return at::matmul(v[0], v[1]); },
              {at::randn({2, 4, 17, 32}), at::randn({2, 4, 32, 21})});
}

TEST_F(Products, FusedAttentionComesNearAutocasts) {
  const std::vector<at::Tensor> values = {at::randn({2, 4, 17, 32}), at::randn({2, 4, 17, 32}),
                                          at::randn({2, 4, 17, 32})};
  const at::Tensor mask = at::zeros({2, 1, 1, 17}).index_fill_(3, at::tensor({15, 16}, at::kLong), -10000);
  const auto a =
      Both([&](const auto& v) { return rounded::FusedAttention(v[0], v[1], v[2], mask); }, values, true);
  const auto b = Both([&](const auto& v) { return at::scaled_dot_product_attention(v[0], v[1], v[2], mask); },
                      values, true);
  for (size_t i = 0; i < a.size(); ++i)  // torch rounds the probabilities as well
    EXPECT_LE((a[i].to(at::kFloat) - b[i].to(at::kFloat)).abs().max().item<double>(),
              b[i].abs().max().item<double>() / 50)
        << i;
}

TEST_F(Products, OutsideOfAutocastTheyAreTorchs) {
  const at::Tensor x = at::randn({5, 8}), weight = at::randn({6, 8}), bias = at::randn({6});
  EXPECT_TRUE(at::equal(Linear(x, weight, bias), at::linear(x, weight, bias)));
  EXPECT_TRUE(at::equal(Product(x, weight.t()), at::matmul(x, weight.t())));
}

}  // namespace
}  // namespace thimble::models
