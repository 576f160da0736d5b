#include "optim/passes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/random.h"
#include "optim/floats.h"
#include "optim/kernels/kernels.h"

namespace thimble::optim {
namespace {

bool Used(const Parameter& parameter) {
  return parameter.value.grad().defined() && parameter.value.numel() > 0 && parameter.rate_factor > 0;
}

}  // namespace

void Passes::KeepWeights(const Parameters& parameters) {
  const at::NoGradGuard no_grad;
  weights_.resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i)
    if (Used(parameters[i])) weights_[i] = parameters[i].value.detach().clone();
}

void Passes::GiveUp(const Parameters& parameters) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < weights_.size(); ++i)
    if (weights_[i].defined()) at::Tensor(parameters[i].value).copy_(weights_[i]);
  weights_.clear();
  gradients_.clear();
  stage_ = Stage::kPlain;
}

// The largest g^2 of all parameters together, Zhong et al. 2022, section 3.2.
void Passes::ChooseMask(const Parameters& parameters) {
  std::vector<float> sizes;
  for (const Parameter& parameter : parameters) {
    if (!Used(parameter)) continue;
    const Floats gradient(parameter.value.grad());
    for (int64_t k = 0; k < gradient.size(); ++k) sizes.push_back(std::fabs(gradient.data()[k]));
  }
  if (sizes.empty()) return;
  const auto kept =
      std::max<size_t>(1, static_cast<size_t>(options_.keep * static_cast<double>(sizes.size())));
  std::nth_element(sizes.begin(), sizes.begin() + static_cast<int64_t>(kept) - 1, sizes.end(),
                   std::greater<>());
  const float least = sizes[kept - 1];
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!Used(parameters[i])) continue;
    const Floats gradient(parameters[i].value.grad());
    for (int64_t k = 0; k < gradient.size(); ++k) {
      const float size = std::fabs(gradient.data()[k]);
      options_.masks[i][k] = size >= least && size > 0 ? 1 : 0;
    }
  }
}

// w + rho g / |g|, masked after the division as the published code does.
void Passes::Ascend(const Parameters& parameters) {
  double squares = 0;
  for (const Parameter& parameter : parameters) {
    if (!Used(parameter)) continue;
    const Floats gradient(parameter.value.grad());
    squares += Kernel().squares(gradient.data(), gradient.size());
  }
  if (!options_.masks.empty() && static_cast<int64_t>(*options_.steps) % options_.refresh == 0)
    ChooseMask(parameters);
  const double norm = std::sqrt(squares);
  const float scale = norm > 0 && std::isfinite(norm) ? static_cast<float>(options_.rho / norm) : 0.0f;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!Used(parameters[i])) continue;
    const Floats gradient(parameters[i].value.grad());
    Floats value(parameters[i].value);
    for (int64_t k = 0; k < value.size(); ++k)
      value.data()[k] += scale * gradient.data()[k] * (options_.masks.empty() ? 1 : options_.masks[i][k]);
    value.Store();
  }
}

void Passes::Shift(const Parameters& parameters) {
  gradients_.assign(parameters.size(), {});
  const Random signs = Random(0).Fork("signs", static_cast<uint64_t>(*options_.steps));
  const auto difference = static_cast<float>(options_.difference);
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!Used(parameters[i])) continue;
    gradients_[i] = parameters[i].value.grad().detach().clone();
    Random random = signs.Fork(parameters[i].name);
    Floats value(parameters[i].value);
    uint64_t bits = 0;
    for (int64_t k = 0; k < value.size(); ++k, bits >>= 1) {
      if (k % 64 == 0) bits = random.Next();
      value.data()[k] += (bits & 1) != 0 ? difference : -difference;
    }
    value.Store();
  }
}

void Passes::FinishShift(const Parameters& parameters) {
  const at::NoGradGuard no_grad;
  curvature_.assign(parameters.size(), {});
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients_[i].defined()) continue;
    THIMBLE_CHECK(parameters[i].value.grad().defined(),
                  parameters[i].name + " has no gradient at the second point");
    curvature_[i] =
        (parameters[i].value.grad().to(at::kCPU, at::kFloat) - gradients_[i].to(at::kCPU, at::kFloat))
            .div_(options_.difference)
            .contiguous();
    at::Tensor(parameters[i].value).mutable_grad() = gradients_[i];
  }
}

bool Passes::Next(const Parameters& parameters) {
  if (stage_ == Stage::kPlain) {
    curvature_.clear();
    KeepWeights(parameters);
    if (options_.rho > 0) {
      Ascend(parameters);
      stage_ = Stage::kSharp;
      return true;
    }
  }
  if (stage_ != Stage::kShifted && options_.difference > 0) {
    Shift(parameters);
    stage_ = Stage::kShifted;
    return true;
  }
  if (stage_ == Stage::kShifted) FinishShift(parameters);
  GiveUp(parameters);
  *options_.steps += 1;  // exact in float32 up to 16 million
  return false;
}

const at::Tensor& Passes::curvature(size_t parameter) const {
  THIMBLE_CHECK(parameter < curvature_.size(), "Step without the passes that tell the Hessian");
  return curvature_[parameter];
}

}  // namespace thimble::optim
