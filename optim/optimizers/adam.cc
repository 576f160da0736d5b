// Adam. Kingma and Ba, ICLR 2015, algorithm 1; decay is added to the gradient, as torch does.
#include "optim/adam.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

OptimizerEntry adam() {
  return {.state_bytes = kTwoMomentsBytes,
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            const proto::Adam& rule = spec.adam();
            return MakeAdam({.learning_rate = rule.learning_rate(),
                             .beta1 = rule.beta1(),
                             .beta2 = rule.beta2(),
                             .epsilon = rule.epsilon(),
                             .weight_decay = rule.weight_decay(),
                             .decoupled = false},
                            std::move(parameters));
          }};
}

}  // namespace thimble::optim
