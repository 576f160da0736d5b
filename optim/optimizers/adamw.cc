// AdamW. Loshchilov and Hutter, ICLR 2019, algorithm 2, with the schedule's multiplier on the decay too,
// as torch does.
#include "optim/adam.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

OptimizerEntry adamw() {
  return {.state_bytes = kTwoMomentsBytes,
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            const proto::AdamW& rule = spec.adamw();
            return MakeAdam({.learning_rate = rule.learning_rate(),
                             .beta1 = rule.beta1(),
                             .beta2 = rule.beta2(),
                             .epsilon = rule.epsilon(),
                             .weight_decay = rule.weight_decay(),
                             .decoupled = true},
                            std::move(parameters));
          }};
}

}  // namespace thimble::optim
