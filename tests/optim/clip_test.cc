#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "optim/optimizer.h"

namespace thimble::optim {
namespace {

Parameters WithGradients(const std::vector<at::Tensor>& gradients) {
  Parameters parameters;
  for (const at::Tensor& gradient : gradients) {
    parameters.push_back(
        {"p" + std::to_string(parameters.size()), at::zeros(gradient.sizes()).requires_grad_()});
    parameters.back().value.mutable_grad() = gradient.clone();
  }
  return parameters;
}

TEST(ClipGradients, ScalesAllTensorsTogether) {
  const Parameters parameters = WithGradients({torch::tensor({3.0f, 0.0f}), torch::tensor({{4.0f}})});
  EXPECT_DOUBLE_EQ(ClipGradients(parameters, 1), 5);
  EXPECT_NEAR(parameters[0].value.grad()[0].item<double>(), 0.6, 1e-7);
  EXPECT_NEAR(parameters[1].value.grad()[0][0].item<double>(), 0.8, 1e-7);
}

TEST(ClipGradients, LeavesShortGradientsAndNoLimitAlone) {
  const Parameters parameters = WithGradients({torch::tensor({3.0f, 4.0f})});
  for (const double limit : {5.0, 100.0, 0.0}) {
    EXPECT_DOUBLE_EQ(ClipGradients(parameters, limit), 5);
    EXPECT_TRUE(parameters[0].value.grad().equal(torch::tensor({3.0f, 4.0f}))) << limit;
  }
}

TEST(ClipGradients, ReturnsNaNAndInfAndScalesNothing) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const Parameters parameters = WithGradients({torch::tensor({30.0f}), torch::tensor({1.0f, bad})});
    const double norm = ClipGradients(parameters, 1);
    EXPECT_FALSE(std::isfinite(norm));
    EXPECT_EQ(std::isnan(norm), std::isnan(bad));
    EXPECT_EQ(parameters[0].value.grad()[0].item<float>(), 30.0f);
    EXPECT_EQ(parameters[1].value.grad()[0].item<float>(), 1.0f);
  }
}

TEST(ClipGradients, LargeValuesDoNotOverflow) {
  const Parameters parameters = WithGradients({at::full({1000}, 1e30f)});
  EXPECT_NEAR(ClipGradients(parameters, 1) / (1e30 * std::sqrt(1000.0)), 1, 1e-6);
  EXPECT_NEAR(parameters[0].value.grad().norm().item<double>(), 1, 1e-5);
}

TEST(ClipGradients, AgreesWithDoubleOnManyOddSizesAndTypes) {
  std::vector<at::Tensor> gradients;
  double squares = 0;
  at::manual_seed(5);
  for (const int64_t n : {1, 3, 7, 8, 9, 31, 1000}) {
    gradients.push_back(at::randn({n}));
    squares += gradients.back().to(at::kDouble).square().sum().item<double>();
  }
  gradients.push_back(at::randn({5, 6}).t());
  squares += gradients.back().to(at::kDouble).square().sum().item<double>();
  EXPECT_NEAR(ClipGradients(WithGradients(gradients), 0), std::sqrt(squares), 1e-10 * std::sqrt(squares));

  Parameters half = {{"half", at::zeros({2}, at::kBFloat16).requires_grad_()}};
  half[0].value.mutable_grad() = torch::tensor({3.0f, 4.0f}).to(at::kBFloat16);
  EXPECT_DOUBLE_EQ(ClipGradients(half, 2.5), 5);
  EXPECT_EQ(half[0].value.grad()[1].item<float>(), 2.0f);
}

TEST(ClipGradients, IgnoresMissingGradientsAndRefusesSparseOnes) {
  Parameters parameters = WithGradients({torch::tensor({3.0f, 4.0f})});
  parameters.push_back({"unused", at::zeros({3}).requires_grad_()});
  EXPECT_DOUBLE_EQ(ClipGradients(parameters, 1), 5);
  parameters.push_back({"table", at::zeros({3}).requires_grad_()});
  parameters.back().value.mutable_grad() = at::ones({3}).to_sparse();
  try {
    ClipGradients(parameters, 1);
    FAIL() << "a sparse gradient was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("table"));
  }
  EXPECT_EQ(ClipGradients({}, 1), 0);
}

TEST(ClipGradientValues, CutsEveryElementAndKeepsNaN) {
  const Parameters parameters = WithGradients(
      {torch::tensor({-3.0f, -0.5f, 0.25f, 7.0f, std::nanf(""), -std::numeric_limits<float>::infinity()}),
       at::linspace(-2, 2, 37)});
  ClipGradientValues(parameters, 0.5);
  const at::Tensor& cut = parameters[0].value.grad();
  EXPECT_TRUE(cut.slice(0, 0, 4).equal(torch::tensor({-0.5f, -0.5f, 0.25f, 0.5f})));
  EXPECT_TRUE(std::isnan(cut[4].item<float>()));
  EXPECT_EQ(cut[5].item<float>(), -0.5f);
  EXPECT_TRUE(parameters[1].value.grad().equal(at::linspace(-2, 2, 37).clamp(-0.5, 0.5)));
}

}  // namespace
}  // namespace thimble::optim
