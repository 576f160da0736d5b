// Stochastic gradient descent with momentum, m = momentum m + g, as torch.optim.SGD without dampening;
// Nesterov's form as there, after Sutskever et al., ICML 2013.
#include "optim/floats.h"
#include "optim/kernels/kernels.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(const proto::Sgd& spec, Parameters parameters)
      : Optimizer(std::move(parameters), spec.learning_rate(), spec.weight_decay()), spec_(spec) {
    for (size_t i = 0; i < parameters_.size(); ++i)
      momentum_.push_back(AddState(i, "momentum", parameters_[i].value.sizes()));
  }

 protected:
  void Update(const Work& work) override {
    const auto momentum = static_cast<float>(spec_.momentum());
    ForPieces(parameters_[work.parameter].value.numel(), work.threads, [&](int64_t first, int64_t count) {
      Kernel().sgd(work.gradient + first, count, static_cast<float>(work.decay), momentum,
                   spec_.nesterov() ? 1.0f : 0.0f, spec_.nesterov() ? momentum : 1.0f,
                   static_cast<float>(work.rate), momentum_[work.parameter] + first, work.value + first);
    });
  }

 private:
  const proto::Sgd spec_;
  std::vector<float*> momentum_;
};

}  // namespace

OptimizerEntry sgd() {
  return {.state_bytes = "4 n bytes for a tensor of n elements",
          .make = [](const proto::Optimizer& spec, Parameters parameters) -> std::unique_ptr<Optimizer> {
            return std::make_unique<Sgd>(spec.sgd(), std::move(parameters));
          }};
}

}  // namespace thimble::optim
