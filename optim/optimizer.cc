#include "optim/optimizer.h"

#include <ATen/Parallel.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <torch/torch.h>

#include <atomic>
#include <map>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "optim/floats.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

#define OPTIMIZER(name) OptimizerEntry name();
#include "optim/optimizers.inc"
#undef OPTIMIZER

namespace {

// The field of oneof `kind` that is set; nullptr if none is.
const google::protobuf::FieldDescriptor* KindField(const Message& message) {
  const auto* kind = message.GetDescriptor()->FindOneofByName("kind");
  return message.GetReflection()->GetOneofFieldDescriptor(message, kind);
}

const OptimizerEntry& EntryOf(const proto::Optimizer& spec) {
  const auto* field = KindField(spec);
  THIMBLE_CHECK(field != nullptr, "an optimizer without a kind was not validated");
  for (const OptimizerEntry& entry : Optimizers())
    if (entry.name == field->name()) return entry;
  throw std::logic_error("optim/optimizers.inc lacks " + field->name());
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

bool DecayByName(const std::string& name) {
  return !EndsWith(name, ".bias") && name.find(".norm.") == std::string::npos;
}

Floats::Floats(const at::Tensor& tensor) : tensor_(tensor), floats_(tensor) {
  if (tensor.is_contiguous() && tensor.scalar_type() == at::kFloat && tensor.is_cpu()) return;
  floats_ = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
}

void Floats::Store() {
  const at::NoGradGuard no_grad;
  if (!floats_.is_same(tensor_)) tensor_.copy_(floats_);
}

void RefuseSparse(const Parameter& parameter) {
  const at::Tensor& gradient = parameter.value.grad();
  if (gradient.defined() && gradient.layout() != at::kStrided)
    throw BadRequest("parameter " + parameter.name, "optimizers and gradient clipping need a dense gradient",
                     "a sparse one", "a lookup without the sparse option");
}

Optimizer::Optimizer(Parameters parameters) : parameters_(std::move(parameters)) {
  std::set<std::string> names;
  for (const Parameter& parameter : parameters_) {
    THIMBLE_CHECK(names.insert(parameter.name).second, "two parameters are named " + parameter.name);
    THIMBLE_CHECK(parameter.value.is_leaf(), parameter.name + " is computed from other tensors");
  }
}

void Optimizer::Step(double factor) {
  for (const Parameter& parameter : parameters_) RefuseSparse(parameter);
  ParallelFor(parameters_.size(), at::get_num_threads(), [&](size_t i) {
    at::Tensor& tensor = parameters_[i].value;
    if (!tensor.grad().defined() || tensor.numel() == 0) return;
    const Floats gradient(tensor.grad());
    Floats value(tensor);
    Update(i, factor, gradient.data(), value.data());
    value.Store();
    tensor.unsafeGetTensorImpl()
        ->bump_version();  // as an in-place operator does: a stale graph is then an error
  });
}

void Optimizer::ZeroGradients() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad().reset();
}

float* Optimizer::AddState(size_t parameter, const std::string& name, at::IntArrayRef sizes) {
  state_.emplace_back(parameters_[parameter].name + "/" + name, at::zeros(sizes, at::kFloat));
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

std::unique_ptr<Optimizer> MakeOptimizer(const proto::Optimizer& spec, Parameters parameters) {
  Validate(spec, "optimizer");
  return EntryOf(spec).make(spec, std::move(parameters));
}

double BaseLearningRate(const proto::Optimizer& spec) {
  const auto* field = KindField(spec);
  THIMBLE_CHECK(field != nullptr, "an optimizer without a kind was not validated");
  const Message& rule = spec.GetReflection()->GetMessage(spec, field);
  const auto* rate = rule.GetDescriptor()->FindFieldByName("learning_rate");
  THIMBLE_CHECK(rate != nullptr, field->name() + " has no learning_rate");
  return rule.GetReflection()->GetDouble(rule, rate);
}

void CheckWarmup(const proto::Optimizer& optimizer, const proto::Schedule& schedule) {
  const double fraction =
      schedule.has_constant() ? schedule.constant().warmup_fraction() : schedule.linear().warmup_fraction();
  const OptimizerEntry& entry = EntryOf(optimizer);
  if (fraction > 0 || entry.without_warmup.empty()) return;
  static std::atomic_flag warned = ATOMIC_FLAG_INIT;
  if (!warned.test_and_set())
    Warn("optimizer " + entry.name + " without warm-up: " + entry.without_warmup +
         "; set the schedule's warmup_fraction, 0.1 for instance");
}

}  // namespace thimble::optim
