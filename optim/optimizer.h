// Update rules behind one interface. One file a rule in optim/optimizers, one line in optim/optimizers.inc.
//
//   auto optimizer = MakeOptimizer(spec, parameters);
//   do {
//     optimizer->ZeroGradients(); ... forward and backward ...
//   } while (optimizer->NextPass());          // SAM and AdaHessian want a second gradient elsewhere
//   ClipGradients(parameters, 1.0);
//   optimizer->Step(ScheduleFactor(schedule, step, steps));
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
  at::Tensor value;          // leaf with a gradient
  bool decay = true;         // the rule's weight decay applies
  double rate_factor = 1;    // of the learning rate; 0: never moved. Set by MakeOptimizer from the groups.
  double weight_decay = -1;  // instead of the rule's, whatever `decay` says; below 0: the rule's
};
using Parameters = std::vector<Parameter>;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// No decay on biases and LayerNorm weights (BERT's rule): names ending in ".bias" or holding ".norm.".
bool DecayByName(const std::string& name);

class Arena;
class Passes;

class Optimizer {
 public:
  virtual ~Optimizer();
  // After each backward pass: false if the gradients are ready for clipping and Step. True if another pass is
  // needed: the weights have then been moved; drop the gradients and compute them again for the same batch.
  // The weights are back in place, bit for bit, when it returns false. Refuses sparse gradients as Step does.
  bool NextPass();
  // Puts the weights back when a further pass failed and is given up.
  void GiveUpPasses();

  // One update with the learning rate times `factor`. Parameters without a gradient are left alone; their
  // state does not move. A sparse gradient is an Error that names the parameter; nothing is updated then.
  // Works on as many threads as torch is set to; the result does not depend on it.
  void Step(double factor);
  void ZeroGradients();  // drops them: a parameter that the next backward pass does not reach has none

  // With `average` in the spec: exchanges the weights for their average, and back. Step, State and NextPass
  // are for the weights themselves. Without: nothing.
  void ShowAverage();
  void HideAverage();

  // Everything a resumed run needs, float32 whatever the parameter type; the tensors share memory with the
  // optimizer. Names are "PARAMETER/STATE", e.g. "head.weight/momentum"; scalars are 1-element tensors.
  const NamedTensors& State() const { return state_; }
  // Copies a state made by State() of the same spec and parameters. CHECK on a missing name or another shape.
  void LoadState(const NamedTensors& state);
  int64_t StateBytes() const;

 protected:
  // One parameter's update; both arrays hold its elements, row-major.
  struct Work {
    size_t parameter;
    double rate;   // learning rate, schedule and group
    double decay;  // weight decay of this parameter, 0: none
    const float* gradient;
    float* value;
    int threads;  // that it may use by ParallelFor
  };

  // CHECK: names are unique, values are leaves. `rate` and `decay` are the rule's own.
  Optimizer(Parameters parameters, double rate, double decay);

  // The update rule. Called in several threads, one a parameter. What it writes must not depend on
  // work.threads.
  virtual void Update(const Work& work) = 0;
  // Size of the step that tells the Hessian: Curvature() then holds H z / z beside each gradient. 0: not
  // needed.
  virtual double curvature_difference() const { return 0; }
  const at::Tensor& Curvature(size_t parameter) const;

  // Adds a state tensor of zeros; for the constructors of rules. The memory lives as long as the optimizer.
  float* AddState(size_t parameter, const std::string& name, at::IntArrayRef sizes);

  Parameters parameters_;

 private:
  friend std::unique_ptr<Optimizer> MakeOptimizer(const proto::Optimizer& spec, Parameters parameters);
  void Configure(const proto::Optimizer& spec);
  float* AddNamedState(const std::string& name, at::IntArrayRef sizes);
  void UpdateOne(size_t parameter, double factor, int threads);
  void UpdateAverages();
  bool Moves(size_t parameter) const;  // has a gradient, elements and a rate

  const double rate_, decay_;
  double clip_value_ = 0;
  std::vector<size_t> large_, small_;  // parameters by whether their rows are shared out
  std::shared_ptr<Arena> arena_;
  NamedTensors state_;
  std::unique_ptr<Passes> passes_;  // set if the rule or SAM needs several
  double average_decay_ = -1;       // below 0: no average
  float* average_steps_ = nullptr;
  std::vector<float*> averages_;
  std::vector<at::Tensor> hidden_;  // the weights while the averages are shown
};

// Validates `spec`. An Error if a group's pattern matches no parameter.
std::unique_ptr<Optimizer> MakeOptimizer(const proto::Optimizer& spec, Parameters parameters);
double BaseLearningRate(const proto::Optimizer& spec);
void SetBaseLearningRate(double rate, proto::Optimizer* spec);  // of the rule that is set; CHECK: one is

struct OptimizerEntry {
  std::string name{};            // oneof case in proto/optimizer.proto; set by Optimizers()
  std::string state_bytes{};     // formula in words, for `thimble describe optimizer`
  std::string without_warmup{};  // what goes wrong without warm-up; empty: nothing
  std::string needs_float32{};   // what it does for which bfloat16 products of the model are too coarse;
                                 // empty: nothing
  std::unique_ptr<Optimizer> (*make)(const proto::Optimizer&, Parameters) = nullptr;
};
const std::vector<OptimizerEntry>& Optimizers();
const OptimizerEntry& EntryOf(const proto::Optimizer& spec);  // its kind is set

// Warns, once a process, if the optimizer needs a warm-up and the schedule has none.
void CheckWarmup(const proto::Optimizer& optimizer, const proto::Schedule& schedule);

// Multiplier of the learning rate at `step` (from 0) of `steps`: pure. Warm-up takes w = int(fraction *
// steps) steps with factors 1/w, 2/w, ..., 1. The linear schedule then falls as (steps - step) / (steps - w):
// it would be 0 at `steps`, which is never taken, so no step is lost at either end. Cosine and polynomial
// fall over the same span. Without a kind: linear.
double ScheduleFactor(const proto::Schedule& schedule, int64_t step, int64_t steps);

// Scales all gradients so that their joint 2-norm is at most `max_norm` (0: no clipping). Returns the norm
// before. A NaN or Inf norm is returned and nothing is scaled.
double ClipGradients(const Parameters& parameters, double max_norm);
// Cuts every element of every gradient to [-limit, limit]; NaN stays.
void ClipGradientValues(const Parameters& parameters, double limit);

}  // namespace thimble::optim
