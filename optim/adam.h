// What Adam and LAMB share: two moments and a step count for each parameter; and Adam's two forms, which
// differ in where the decay enters (optimizers/adam.cc, optimizers/adamw.cc).
#pragma once
#include <memory>
#include <vector>

#include "optim/kernels/kernels.h"
#include "optim/optimizer.h"

namespace thimble::proto {
class Adam;
class AdamW;
}  // namespace thimble::proto

namespace thimble::optim {

inline constexpr char kTwoMomentsBytes[] =
    "4 (2 n + 1) bytes for a tensor of n elements: two moments and the step count";

class TwoMoments : public Optimizer {
 protected:
  struct Slot {
    float *first, *second, *steps;
  };
  TwoMoments(Parameters parameters, double rate, double decay);
  std::vector<Slot> slots_;  // by parameter
};

struct AdamOptions {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  bool decoupled;  // decay of the weights themselves instead of through the gradient
};

AdamOptions OptionsOf(const proto::Adam& rule);
AdamOptions OptionsOf(const proto::AdamW& rule);

// What step number `steps` (from 1) takes at a rate with schedule and group, and a decay without the rate.
AdamRates RatesAt(const AdamOptions& options, double steps, double rate, double decay);

std::unique_ptr<Optimizer> MakeAdam(const AdamOptions& options, Parameters parameters);

}  // namespace thimble::optim
