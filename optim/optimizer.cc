#include "optim/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "base/catalogue.h"
#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "optim/arena.h"
#include "optim/floats.h"
#include "optim/groups.h"
#include "optim/kernels/kernels.h"
#include "optim/passes.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

#define OPTIMIZER(name) OptimizerEntry name();
#include "optim/optimizers.inc"
#undef OPTIMIZER

namespace {

// Elements from which a parameter's own rows are shared out: below that one thread takes all of it.
constexpr int64_t kLarge = 1 << 20;

// Field learning_rate of the rule in oneof field `kind`.
const google::protobuf::FieldDescriptor* RateField(const google::protobuf::FieldDescriptor* kind) {
  THIMBLE_CHECK(kind != nullptr, "an optimizer without a kind was not validated");
  const auto* rate = kind->message_type()->FindFieldByName("learning_rate");
  THIMBLE_CHECK(rate != nullptr, kind->name() + " has no learning_rate");
  return rate;
}

}  // namespace

Optimizer::Optimizer(Parameters parameters, double rate, double decay)
    : parameters_(std::move(parameters)), rate_(rate), decay_(decay), arena_(std::make_shared<Arena>()) {
  std::set<std::string> names;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    THIMBLE_CHECK(names.insert(parameter.name).second, "two parameters are named " + parameter.name);
    THIMBLE_CHECK(parameter.value.is_leaf(), parameter.name + " is computed from other tensors");
    (parameter.value.numel() >= kLarge ? large_ : small_).push_back(i);
  }
  // Large ones first, so that no thread begins one when the others are done.
  std::stable_sort(small_.begin(), small_.end(), [this](size_t a, size_t b) {
    return parameters_[a].value.numel() > parameters_[b].value.numel();
  });
}

Optimizer::~Optimizer() = default;

void Optimizer::Configure(const proto::Optimizer& spec) {
  clip_value_ = spec.clip_value();
  PassOptions passes{.difference = curvature_difference()};
  if (spec.has_sam()) {
    passes.rho = spec.sam().rho();
    passes.keep = spec.sam().keep();
    passes.refresh = spec.sam().refresh();
    for (size_t i = 0; passes.keep < 1 && i < parameters_.size(); ++i)
      passes.masks.push_back(AddState(i, "mask", parameters_[i].value.sizes()));
  }
  if (passes.rho > 0 || passes.difference > 0) {
    passes.steps = AddNamedState("all/passes", {1});
    passes_ = std::make_unique<Passes>(passes);
  }
  if (spec.has_average()) {
    average_decay_ = spec.average().decay();
    for (size_t i = 0; i < parameters_.size(); ++i) {
      averages_.push_back(AddState(i, "average", parameters_[i].value.sizes()));
      const Floats value(parameters_[i].value);
      std::copy_n(value.data(), value.size(), averages_[i]);
    }
    average_steps_ = AddNamedState("all/averaged", {1});
  }
}

bool Optimizer::NextPass() {
  for (const Parameter& parameter : parameters_) RefuseSparse(parameter);
  if (passes_ != nullptr && passes_->Next(parameters_)) return true;
  if (clip_value_ > 0) ClipGradientValues(parameters_, clip_value_);
  return false;
}

void Optimizer::GiveUpPasses() {
  if (passes_ != nullptr) passes_->GiveUp(parameters_);
}

const at::Tensor& Optimizer::Curvature(size_t parameter) const { return passes_->curvature(parameter); }

bool Optimizer::Moves(size_t parameter) const {
  const Parameter& p = parameters_[parameter];
  return p.value.grad().defined() && p.value.numel() > 0 && p.rate_factor > 0;
}

void Optimizer::UpdateOne(size_t parameter, double factor, int threads) {
  if (!Moves(parameter)) return;
  const Parameter& p = parameters_[parameter];
  const Floats gradient(p.value.grad());
  Floats value(p.value);
  Update({.parameter = parameter,
          .rate = rate_ * factor * p.rate_factor,
          .decay = p.weight_decay >= 0 ? p.weight_decay : (p.decay ? decay_ : 0),
          .gradient = gradient.data(),
          .value = value.data(),
          .threads = threads});
  value.Store();
}

void Optimizer::Step(double factor) {
  for (const Parameter& parameter : parameters_) RefuseSparse(parameter);
  const int threads = at::get_num_threads();
  for (const size_t i : large_) UpdateOne(i, factor, threads);
  ParallelFor(small_.size(), threads, [&](size_t k) { UpdateOne(small_[k], factor, 1); });
  if (!averages_.empty()) UpdateAverages();
}

void Optimizer::UpdateAverages() {
  const double steps = *average_steps_;
  const double decay = std::min(average_decay_, (1 + steps) / (10 + steps));
  *average_steps_ += 1;  // exact in float32 up to 16 million
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Floats value(parameters_[i].value);
    ForPieces(value.size(), at::get_num_threads(), [&](int64_t first, int64_t count) {
      Kernel().approach(averages_[i] + first, count, static_cast<float>(1 - decay), value.data() + first);
    });
  }
}

void Optimizer::ShowAverage() {
  if (averages_.empty()) return;
  THIMBLE_CHECK(hidden_.empty(), "the averages are shown already");
  for (size_t i = 0; i < parameters_.size(); ++i) {
    hidden_.push_back(parameters_[i].value.detach().clone());
    Floats value(parameters_[i].value);
    std::copy_n(averages_[i], value.size(), value.data());
    value.Store();
  }
}

void Optimizer::HideAverage() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < hidden_.size(); ++i) parameters_[i].value.copy_(hidden_[i]);
  hidden_.clear();
}

void Optimizer::ZeroGradients() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad().reset();
}

float* Optimizer::AddState(size_t parameter, const std::string& name, at::IntArrayRef sizes) {
  return AddNamedState(parameters_[parameter].name + "/" + name, sizes);
}

float* Optimizer::AddNamedState(const std::string& name, at::IntArrayRef sizes) {
  state_.emplace_back(name, arena_->Zeros(sizes));
  return state_.back().second.data_ptr<float>();
}

void Optimizer::LoadState(const NamedTensors& state) {
  std::map<std::string, at::Tensor> given(state.begin(), state.end());
  for (const auto& [name, tensor] : state_) {
    const auto found = given.find(name);
    THIMBLE_CHECK(found != given.end(), "the state lacks " + name);
    THIMBLE_CHECK(found->second.sizes() == tensor.sizes(), "the state has another shape for " + name);
  }
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : state_) tensor.copy_(given[name]);
}

int64_t Optimizer::StateBytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : state_) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

const std::vector<OptimizerEntry>& Optimizers() {
  static const std::vector<OptimizerEntry> entries = [] {
    std::vector<OptimizerEntry> list;
#define OPTIMIZER(kind)          \
  list.push_back(optim::kind()); \
  list.back().name = #kind;
#include "optim/optimizers.inc"
#undef OPTIMIZER
    return list;
  }();
  return entries;
}

const OptimizerEntry& EntryOf(const proto::Optimizer& spec) { return EntryIn(Optimizers(), spec); }

std::unique_ptr<Optimizer> MakeOptimizer(const proto::Optimizer& spec, Parameters parameters) {
  Validate(spec, "optimizer");
  ApplyGroups(spec, &parameters);
  auto optimizer = EntryOf(spec).make(spec, std::move(parameters));
  optimizer->Configure(spec);
  return optimizer;
}

double BaseLearningRate(const proto::Optimizer& spec) {
  const auto* kind = KindField(spec);
  const auto* rate = RateField(kind);
  const Message& rule = spec.GetReflection()->GetMessage(spec, kind);
  return rule.GetReflection()->GetDouble(rule, rate);
}

void SetBaseLearningRate(double rate, proto::Optimizer* spec) {
  const auto* kind = KindField(*spec);
  const auto* field = RateField(kind);
  Message* rule = spec->GetReflection()->MutableMessage(spec, kind);
  rule->GetReflection()->SetDouble(rule, field, rate);
}

void CheckWarmup(const proto::Optimizer& optimizer, const proto::Schedule& schedule) {
  const OptimizerEntry& entry = EntryOf(optimizer);
  if (WarmupFraction(schedule) > 0 || entry.without_warmup.empty()) return;
  static std::atomic_flag warned = ATOMIC_FLAG_INIT;
  if (!warned.test_and_set())
    Warn("optimizer " + entry.name + " without warm-up: " + entry.without_warmup +
         "; set the schedule's warmup_fraction, 0.1 for instance");
}

}  // namespace thimble::optim
