// AdamW. Loshchilov and Hutter, ICLR 2019, algorithm 2, with the schedule's multiplier on the decay too,
// as torch does.
#include "optim/adam.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

OptimizerEntry adamw() {
  return {.state_bytes = kTwoMomentsBytes,
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return MakeAdam(OptionsOf(spec.adamw()), std::move(parameters));
          }};
}

}  // namespace thimble::optim
