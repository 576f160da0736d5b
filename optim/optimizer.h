// Update rules behind one interface. One file a rule in optim/optimizers, one line in optim/optimizers.inc.
//
//   auto optimizer = MakeOptimizer(spec, parameters);
//   ... backward ...; ClipGradients(parameters, 1.0); optimizer->Step(ScheduleFactor(schedule, step, steps));
//
// Not thread-safe; different optimizers may step in different threads.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace thimble::proto {
class Optimizer;
class Schedule;
}  // namespace thimble::proto

namespace thimble::optim {

struct Parameter {
  std::string name;
  at::Tensor value;   // leaf with a gradient
  bool decay = true;  // weight decay applies
};
using Parameters = std::vector<Parameter>;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// No decay on biases and LayerNorm weights (BERT's rule): names ending in ".bias" or holding ".norm.".
bool DecayByName(const std::string& name);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update with the learning rate times `factor`. Parameters without a gradient are left alone; their
  // state does not move. A sparse gradient is an Error that names the parameter; nothing is updated then.
  // Works on as many threads as torch is set to; the result does not depend on it.
  void Step(double factor);
  void ZeroGradients();  // drops them: a parameter that the next backward pass does not reach has none

  // Everything a resumed run needs, float32 whatever the parameter type; the tensors share memory with the
  // optimizer. Names are "PARAMETER/STATE", e.g. "head.weight/momentum"; scalars are 1-element tensors.
  const NamedTensors& State() const { return state_; }
  // Copies a state made by State() of the same spec and parameters. CHECK on a missing name or another shape.
  void LoadState(const NamedTensors& state);
  int64_t StateBytes() const;

 protected:
  // CHECK: names are unique, values are leaves.
  explicit Optimizer(Parameters parameters);

  // The update rule. Both arrays hold the parameter's elements, row-major. Called in several threads, one a
  // parameter.
  virtual void Update(size_t parameter, double factor, const float* gradient, float* value) = 0;

  // Adds a state tensor of zeros; for the constructors of rules. The memory lives as long as the optimizer.
  float* AddState(size_t parameter, const std::string& name, at::IntArrayRef sizes);

  Parameters parameters_;

 private:
  NamedTensors state_;
};

// Validates `spec`.
std::unique_ptr<Optimizer> MakeOptimizer(const proto::Optimizer& spec, Parameters parameters);
double BaseLearningRate(const proto::Optimizer& spec);

struct OptimizerEntry {
  std::string name{};            // oneof case in proto/optimizer.proto; set by Optimizers()
  std::string state_bytes{};     // formula in words, for `thimble describe optimizer`
  std::string without_warmup{};  // what goes wrong without warm-up; empty: nothing
  std::unique_ptr<Optimizer> (*make)(const proto::Optimizer&, Parameters) = nullptr;
};
const std::vector<OptimizerEntry>& Optimizers();

// Warns, once a process, if the optimizer needs a warm-up and the schedule has none.
void CheckWarmup(const proto::Optimizer& optimizer, const proto::Schedule& schedule);

// Multiplier of the learning rate at `step` (from 0) of `steps`: pure. Warm-up takes w = int(fraction *
// steps) steps with factors 1/w, 2/w, ..., 1. The linear schedule then falls as (steps - step) / (steps - w):
// it would be 0 at `steps`, which is never taken, so no step is lost at either end. Without a kind: linear.
double ScheduleFactor(const proto::Schedule& schedule, int64_t step, int64_t steps);

// Scales all gradients so that their joint 2-norm is at most `max_norm` (0: no clipping). Returns the norm
// before. A NaN or Inf norm is returned and nothing is scaled.
double ClipGradients(const Parameters& parameters, double max_norm);

}  // namespace thimble::optim
