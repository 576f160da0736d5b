// Adam. Kingma and Ba, ICLR 2015, algorithm 1; decay is added to the gradient, as torch does.
#include "optim/adam.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

OptimizerEntry adam() {
  return {.state_bytes = kTwoMomentsBytes,
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return MakeAdam(OptionsOf(spec.adam()), std::move(parameters));
          }};
}

}  // namespace thimble::optim
