// Gradients at other points than the weights: SAM's worst point nearby, and the second gradient whose
// difference is a product with the Hessian. A difference of gradients needs no second derivatives, so losses
// and layers with a backward pass of their own will do.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "optim/optimizer.h"

namespace thimble::optim {

struct PassOptions {
  double rho = 0;                  // radius of SAM; 0: none
  double keep = 1;                 // share of the parameters that SAM perturbs
  int64_t refresh = 100;           // steps between two choices of that share
  double difference = 0;           // step for the Hessian; 0: none
  float* steps = nullptr;          // 1 element of saved state
  std::vector<float*> masks = {};  // saved state, one a parameter: 1 perturbed, 0 not; empty if keep is 1
};

class Passes {
 public:
  explicit Passes(const PassOptions& options) : options_(options) {}
  bool Next(const Parameters& parameters);  // as Optimizer::NextPass
  void GiveUp(const Parameters& parameters);
  // After Next returned false: H z, undefined where there was no gradient.
  const at::Tensor& curvature(size_t parameter) const;

 private:
  enum class Stage { kPlain, kSharp, kShifted };
  void Ascend(const Parameters& parameters);
  void ChooseMask(const Parameters& parameters);
  void Shift(const Parameters& parameters);
  void FinishShift(const Parameters& parameters);
  void KeepWeights(const Parameters& parameters);

  const PassOptions options_;
  Stage stage_ = Stage::kPlain;
  std::vector<at::Tensor> weights_;    // copies while others are in their place
  std::vector<at::Tensor> gradients_;  // of the first point
  std::vector<at::Tensor> curvature_;
};

}  // namespace thimble::optim
