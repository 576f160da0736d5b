// Adam's two forms, which differ in where the decay enters. optimizers/adam.cc and optimizers/adamw.cc.
#pragma once
#include <memory>

#include "optim/optimizer.h"

namespace thimble::optim {

struct AdamOptions {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  bool decoupled;  // decay of the weights themselves instead of through the gradient
};

std::unique_ptr<Optimizer> MakeAdam(const AdamOptions& options, Parameters parameters);

}  // namespace thimble::optim
