// What every update rule must do: runs over the whole catalogue.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "base/config.h"
#include "base/error.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"
#include "proto/options.pb.h"
#include "tests/optim/numbers.h"

namespace thimble::optim {
namespace {

const std::vector<std::vector<int64_t>> kShapes = {{6, 10}, {1, 17}, {70, 1}, {12}, {3, 4, 5}, {}};

// A rule with what may stand around it.
struct Case {
  OptimizerEntry entry;
  std::string around;
};

proto::Optimizer DefaultSpec(const std::string& rule, const std::string& around = "") {
  proto::Optimizer spec;
  ParseText(rule + " {learning_rate: 1e-2} " + around, "test", &spec);
  return spec;
}

Parameters MakeParameters() {
  Parameters parameters;
  for (uint32_t i = 0; i < kShapes.size(); ++i)
    parameters.push_back({"p" + std::to_string(i), StartValue(i, kShapes[i]).requires_grad_(), i % 2 == 0});
  return parameters;
}

void Train(Optimizer* optimizer, Parameters* parameters, int first, int end) {
  for (int step = first; step < end; ++step) {
    do {
      const at::NoGradGuard no_grad;
      for (uint32_t i = 0; i < parameters->size(); ++i) {
        at::Tensor& value = (*parameters)[i].value;
        value.mutable_grad() = GradientValue(i, step, value.sizes()) + 0.5 * value;
      }
    } while (optimizer->NextPass());
    optimizer->Step(1.0 / (1 + step));
  }
}

// With gradients that are set and do not depend on the weights.
void StepOnce(Optimizer* optimizer) {
  while (optimizer->NextPass()) continue;
  optimizer->Step(1);
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void ExpectSameBits(const Parameters& a, const Parameters& b) {
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].value.equal(b[i].value)) << a[i].name;
}

class EveryOptimizer : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Optimizer> Make(const Parameters& parameters) {
    return MakeOptimizer(DefaultSpec(Name(), GetParam().around), parameters);
  }
  std::string Name() const { return GetParam().entry.name; }
};

TEST_P(EveryOptimizer, DescribesItself) {
  EXPECT_THAT(GetParam().entry.state_bytes, testing::HasSubstr("bytes"));
  proto::Optimizer spec = DefaultSpec(Name());
  EXPECT_DOUBLE_EQ(BaseLearningRate(spec), 1e-2);
  SetBaseLearningRate(0.125, &spec);
  EXPECT_DOUBLE_EQ(BaseLearningRate(spec), 0.125);
}

TEST_P(EveryOptimizer, LowersAQuadratic) {
  const at::Tensor matrix = StartValue(0, {8, 8}).requires_grad_(),
                   vector = StartValue(1, {8}).requires_grad_();
  const auto loss = [&] { return (matrix - 2).square().sum() + (vector + 1).square().sum(); };
  const auto optimizer = Make({{"matrix", matrix}, {"vector", vector}});
  const double before = loss().item<double>();
  for (int step = 0; step < 200; ++step) {
    do {
      optimizer->ZeroGradients();
      loss().backward();
    } while (optimizer->NextPass());
    optimizer->Step(std::min(1.0, (step + 1) / 50.0));
  }
  EXPECT_LT(loss().item<double>(), 0.5 * before);
}

TEST_P(EveryOptimizer, ResumesBitForBit) {
  Parameters whole = MakeParameters(), first = MakeParameters();
  Train(Make(whole).get(), &whole, 0, 200);
  const auto before = Make(first);
  Train(before.get(), &first, 0, 100);
  Parameters second;
  for (const Parameter& parameter : first)
    second.push_back({parameter.name, parameter.value.detach().clone().requires_grad_(), parameter.decay});
  const auto after = Make(second);
  after->LoadState(before->State());
  Train(after.get(), &second, 100, 200);
  ExpectSameBits(whole, second);
  // Without the state the second half goes elsewhere, or the state holds nothing that matters.
  Train(Make(first).get(), &first, 100, 200);
  EXPECT_FALSE(first[0].value.equal(whole[0].value));
}

TEST_P(EveryOptimizer, IsDeterministicForAnyThreadCount) {
  Parameters a = MakeParameters(), b = MakeParameters();
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  Train(Make(a).get(), &a, 0, 20);
  at::set_num_threads(2);
  Train(Make(b).get(), &b, 0, 20);
  at::set_num_threads(threads);
  ExpectSameBits(a, b);
}

// Large enough for its rows to be shared out.
TEST_P(EveryOptimizer, SharesOutTheRowsOfALargeTensor) {
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    Parameters parameters;
    parameters.push_back({"table", at::linspace(-1, 1, 1050 * 1031).view({1050, 1031}).requires_grad_()});
    parameters.push_back({"long", at::linspace(-1, 1, 1100003).requires_grad_()});
    const auto optimizer = Make(parameters);
    for (int step = 0; step < 2; ++step) {
      for (Parameter& parameter : parameters)
        parameter.value.mutable_grad() = at::sin(parameter.value.detach() * (900 + step));
      StepOnce(optimizer.get());
    }
    results.push_back(parameters[0].value.detach());
    results.push_back(parameters[1].value.detach());
  }
  at::set_num_threads(threads);
  for (size_t i = 2; i < results.size(); ++i) EXPECT_TRUE(results[i].equal(results[i % 2])) << i;
}

TEST_P(EveryOptimizer, StateIsFloat32AndSized) {
  Parameters parameters = MakeParameters();
  parameters.push_back({"half", StartValue(9, {4, 4}).to(at::kBFloat16).requires_grad_()});
  const auto optimizer = Make(parameters);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : optimizer->State()) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    EXPECT_THAT(name, testing::ContainsRegex("^[a-z0-9]+/[a-z_]+$"));
    if (!EndsWith(name, "/average")) {
      EXPECT_EQ(tensor.abs().sum().item<double>(), 0) << name;
    }
    bytes += tensor.numel() * 4;
  }
  EXPECT_EQ(optimizer->StateBytes(), bytes);
}

TEST_P(EveryOptimizer, LoadStateRefusesAnotherState) {
  const Parameters parameters = MakeParameters();
  const auto optimizer = Make(parameters);
  NamedTensors missing = optimizer->State(), reshaped = optimizer->State();
  missing.pop_back();
  reshaped[0].second = at::zeros({2, 2});
  EXPECT_THROW(optimizer->LoadState(missing), std::logic_error);
  EXPECT_THROW(optimizer->LoadState(reshaped), std::logic_error);
}

TEST_P(EveryOptimizer, LeavesParametersWithoutGradientAlone) {
  Parameters parameters = MakeParameters();
  const auto optimizer = Make(parameters);
  Train(optimizer.get(), &parameters, 0, 3);
  optimizer->ZeroGradients();
  EXPECT_FALSE(parameters[0].value.grad().defined());
  std::vector<at::Tensor> values, state;
  for (const Parameter& parameter : parameters) values.push_back(parameter.value.detach().clone());
  for (const auto& [name, tensor] : optimizer->State()) state.push_back(tensor.clone());
  parameters[1].value.mutable_grad() = GradientValue(1, 7, kShapes[1]);
  StepOnce(optimizer.get());
  for (size_t i = 0; i < parameters.size(); ++i)
    EXPECT_EQ(parameters[i].value.equal(values[i]), i != 1) << parameters[i].name;
  for (size_t i = 0; i < state.size(); ++i) {
    const auto& [name, tensor] = optimizer->State()[i];
    if (name.rfind("p1/", 0) != 0 && name.rfind("all/", 0) != 0 && !EndsWith(name, "/average")) {
      EXPECT_TRUE(tensor.equal(state[i])) << name;
    }
  }
}

TEST_P(EveryOptimizer, RefusesASparseGradientBeforeAnyUpdate) {
  Parameters parameters = {{"first", StartValue(0, {4, 3}).requires_grad_()},
                           {"table", StartValue(1, {4, 3}).requires_grad_()}};
  const at::Tensor before = parameters[0].value.detach().clone();
  parameters[0].value.mutable_grad() = at::ones({4, 3});
  parameters[1].value.mutable_grad() = at::ones({4, 3}).to_sparse();
  const auto optimizer = Make(parameters);
  try {
    optimizer->Step(1);
    FAIL() << "a sparse gradient was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("table"));
    EXPECT_EQ(error.code(), kBadRequest);
  }
  EXPECT_TRUE(parameters[0].value.equal(before));
}

TEST_P(EveryOptimizer, OtherTypesAndLayoutsFollowTheFloat32Path) {
  if (!GetParam().entry.needs_float32.empty())
    GTEST_SKIP() << Name() << " " << GetParam().entry.needs_float32;
  const at::Tensor plain = StartValue(0, {5, 8}).requires_grad_();
  const at::Tensor turned = StartValue(0, {5, 8}).t().contiguous().t().requires_grad_();
  const at::Tensor half = StartValue(0, {5, 8}).to(at::kBFloat16).requires_grad_();
  ASSERT_FALSE(turned.is_contiguous());
  const at::Tensor gradient = GradientValue(0, 3, {5, 8});
  plain.mutable_grad() = gradient;
  turned.mutable_grad() = gradient;
  half.mutable_grad() = gradient.to(at::kBFloat16);
  for (const at::Tensor& value : {plain, turned, half}) StepOnce(Make({{"p", value}}).get());
  EXPECT_TRUE(turned.equal(plain));
  EXPECT_LT((half.to(at::kFloat) - plain).abs().max().item<double>(), 0.01);
  EXPECT_FALSE(half.equal(StartValue(0, {5, 8}).to(at::kBFloat16)));
}

TEST_P(EveryOptimizer, AZeroGradientFromTheStartMovesNothingButDecay) {
  Parameters parameters = {{"p", StartValue(0, {4, 4}).requires_grad_(), false}};
  const at::Tensor before = parameters[0].value.detach().clone();
  const auto optimizer = Make(parameters);
  for (int step = 0; step < 3; ++step) {
    parameters[0].value.mutable_grad() = at::zeros({4, 4});
    StepOnce(optimizer.get());
  }
  EXPECT_TRUE(parameters[0].value.equal(before));
}

// Every bound of every field, by reflection: the bound itself where it is included, else one step outside.
TEST_P(EveryOptimizer, RefusesArgumentsOutOfRange) {
  const auto* rule = proto::Optimizer::descriptor()->FindFieldByName(Name())->message_type();
  int refused = 0;
  for (int i = 0; i < rule->field_count(); ++i) {
    const auto* field = rule->field(i);
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE) continue;
    const proto::Range& range = field->options().GetExtension(proto::range);
    std::vector<double> outside;
    if (range.has_min()) outside.push_back(range.min() - 1e-3);
    if (range.has_max()) outside.push_back(range.max() + 1e-3);
    if (range.has_above()) outside.push_back(range.above());
    if (range.has_below()) outside.push_back(range.below());
    EXPECT_FALSE(outside.empty()) << field->full_name() << " has no range";
    outside.push_back(std::numeric_limits<double>::quiet_NaN());
    for (const double value : outside) {
      proto::Optimizer spec = DefaultSpec(Name());
      const auto* kind = proto::Optimizer::descriptor()->FindFieldByName(Name());
      Message* message = spec.GetReflection()->MutableMessage(&spec, kind);
      message->GetReflection()->SetDouble(message, field, value);
      try {
        MakeOptimizer(spec, {});
        ADD_FAILURE() << field->full_name() << " = " << value << " was taken";
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(field->name()));
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 4);
  proto::Optimizer misspelt;
  EXPECT_THROW(ParseText(Name() + " {learning_rat: 1e-3}", "test", &misspelt), Error);
  EXPECT_THROW(ParseText(Name() + " {}", "test", &misspelt), Error);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const OptimizerEntry& entry : Optimizers())
    for (const char* around :
         {"", "sam {}", "sam {keep: 0.1 refresh: 7}", "average {decay: 0.9}", "clip_value: 2"})
      cases.push_back({entry, around});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryOptimizer, testing::ValuesIn(Cases()), [](const auto& info) {
  std::string name = info.param.entry.name + "_" + info.param.around;
  name.erase(std::remove_if(name.begin(), name.end(), [](char c) { return !std::isalnum(c) && c != '_'; }),
             name.end());
  return name;
});

TEST(Optimizers, AreTheCasesOfTheSchema) {
  const auto* kind = proto::Optimizer::descriptor()->FindOneofByName("kind");
  std::vector<std::string> schema, catalogue;
  for (int i = 0; i < kind->field_count(); ++i) schema.push_back(kind->field(i)->name());
  for (const OptimizerEntry& entry : Optimizers()) catalogue.push_back(entry.name);
  EXPECT_THAT(catalogue, testing::UnorderedElementsAreArray(schema));
  EXPECT_TRUE(std::is_sorted(catalogue.begin(), catalogue.end()));
}

TEST(Optimizers, NoKindIsAnError) { EXPECT_THROW(MakeOptimizer({}, {}), Error); }

TEST(Optimizers, RefuseTwoParametersOfOneNameAndComputedOnes) {
  const at::Tensor a = at::zeros({2}).requires_grad_();
  EXPECT_THROW(MakeOptimizer(DefaultSpec("adamw"), {{"a", a}, {"a", a}}), std::logic_error);
  EXPECT_THROW(MakeOptimizer(DefaultSpec("adamw"), {{"a", a * 2}}), std::logic_error);
}

TEST(DecayByName, SparesBiasesAndNorms) {
  EXPECT_TRUE(DecayByName("layer.0.attention.query.weight"));
  EXPECT_TRUE(DecayByName("embedding.token"));
  EXPECT_TRUE(DecayByName("bias.weight"));
  EXPECT_FALSE(DecayByName("layer.0.attention.query.bias"));
  EXPECT_FALSE(DecayByName("layer.0.ffn.1.norm.weight"));
  EXPECT_FALSE(DecayByName("embedding.norm.weight"));
}

}  // namespace
}  // namespace thimble::optim
