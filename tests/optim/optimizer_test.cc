// What every update rule must do: runs over the whole catalogue.
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

proto::Optimizer DefaultSpec(const std::string& rule) {
  proto::Optimizer spec;
  ParseText(rule + " {learning_rate: 1e-2}", "test", &spec);
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
    for (uint32_t i = 0; i < parameters->size(); ++i)
      (*parameters)[i].value.mutable_grad() = GradientValue(i, step, (*parameters)[i].value.sizes());
    optimizer->Step(1.0 / (1 + step));
  }
}

void ExpectSameBits(const Parameters& a, const Parameters& b) {
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].value.equal(b[i].value)) << a[i].name;
}

class EveryOptimizer : public testing::TestWithParam<OptimizerEntry> {
 protected:
  std::unique_ptr<Optimizer> Make(const Parameters& parameters) {
    return MakeOptimizer(DefaultSpec(GetParam().name), parameters);
  }
};

TEST_P(EveryOptimizer, DescribesItself) {
  EXPECT_THAT(GetParam().state_bytes, testing::HasSubstr("bytes"));
  EXPECT_DOUBLE_EQ(BaseLearningRate(DefaultSpec(GetParam().name)), 1e-2);
}

TEST_P(EveryOptimizer, LowersAQuadratic) {
  const at::Tensor matrix = StartValue(0, {8, 8}).requires_grad_(),
                   vector = StartValue(1, {8}).requires_grad_();
  const auto loss = [&] { return (matrix - 2).square().sum() + (vector + 1).square().sum(); };
  const auto optimizer = Make({{"matrix", matrix}, {"vector", vector}});
  const double before = loss().item<double>();
  for (int step = 0; step < 200; ++step) {
    optimizer->ZeroGradients();
    loss().backward();
    optimizer->Step(std::min(1.0, (step + 1) / 50.0));
  }
  EXPECT_LT(loss().item<double>(), 0.5 * before);
}

TEST_P(EveryOptimizer, ResumesBitForBit) {
  Parameters whole = MakeParameters(), first = MakeParameters();
  Train(Make(whole).get(), &whole, 0, 100);
  const auto before = Make(first);
  Train(before.get(), &first, 0, 50);
  Parameters second;
  for (const Parameter& parameter : first)
    second.push_back({parameter.name, parameter.value.detach().clone().requires_grad_(), parameter.decay});
  const auto after = Make(second);
  after->LoadState(before->State());
  Train(after.get(), &second, 50, 100);
  ExpectSameBits(whole, second);
  // Without the state the second half goes elsewhere, or the state holds nothing that matters.
  Train(Make(first).get(), &first, 50, 100);
  EXPECT_FALSE(first[0].value.equal(whole[0].value));
}

TEST_P(EveryOptimizer, IsDeterministicForAnyThreadCount) {
  Parameters a = MakeParameters(), b = MakeParameters();
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);
  Train(Make(a).get(), &a, 0, 20);
  torch::set_num_threads(2);
  Train(Make(b).get(), &b, 0, 20);
  torch::set_num_threads(threads);
  ExpectSameBits(a, b);
}

TEST_P(EveryOptimizer, StateIsFloat32AndSized) {
  Parameters parameters = MakeParameters();
  parameters.push_back({"half", StartValue(9, {4, 4}).to(torch::kBFloat16).requires_grad_()});
  const auto optimizer = Make(parameters);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : optimizer->State()) {
    EXPECT_EQ(tensor.scalar_type(), torch::kFloat) << name;
    EXPECT_THAT(name, testing::ContainsRegex("^[a-z0-9]+/[a-z_]+$"));
    EXPECT_EQ(tensor.abs().sum().item<double>(), 0) << name;
    bytes += tensor.numel() * 4;
  }
  EXPECT_EQ(optimizer->StateBytes(), bytes);
}

TEST_P(EveryOptimizer, LoadStateRefusesAnotherState) {
  const Parameters parameters = MakeParameters();
  const auto optimizer = Make(parameters);
  NamedTensors missing = optimizer->State(), reshaped = optimizer->State();
  missing.pop_back();
  reshaped[0].second = torch::zeros({2, 2});
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
  optimizer->Step(1);
  for (size_t i = 0; i < parameters.size(); ++i)
    EXPECT_EQ(parameters[i].value.equal(values[i]), i != 1) << parameters[i].name;
  for (size_t i = 0; i < state.size(); ++i) {
    const auto& [name, tensor] = optimizer->State()[i];
    if (name.rfind("p1/", 0) != 0) {
      EXPECT_TRUE(tensor.equal(state[i])) << name;
    }
  }
}

TEST_P(EveryOptimizer, RefusesASparseGradientBeforeAnyUpdate) {
  Parameters parameters = {{"first", StartValue(0, {4, 3}).requires_grad_()},
                           {"table", StartValue(1, {4, 3}).requires_grad_()}};
  const at::Tensor before = parameters[0].value.detach().clone();
  parameters[0].value.mutable_grad() = torch::ones({4, 3});
  parameters[1].value.mutable_grad() = torch::ones({4, 3}).to_sparse();
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
  const at::Tensor plain = StartValue(0, {5, 8}).requires_grad_();
  const at::Tensor turned = StartValue(0, {5, 8}).t().contiguous().t().requires_grad_();
  const at::Tensor half = StartValue(0, {5, 8}).to(torch::kBFloat16).requires_grad_();
  ASSERT_FALSE(turned.is_contiguous());
  const at::Tensor gradient = GradientValue(0, 3, {5, 8});
  plain.mutable_grad() = gradient;
  turned.mutable_grad() = gradient;
  half.mutable_grad() = gradient.to(torch::kBFloat16);
  for (const at::Tensor& value : {plain, turned, half}) Make({{"p", value}})->Step(1);
  EXPECT_TRUE(turned.equal(plain));
  EXPECT_LT((half.to(torch::kFloat) - plain).abs().max().item<double>(), 0.01);
  EXPECT_FALSE(half.equal(StartValue(0, {5, 8}).to(torch::kBFloat16)));
}

TEST_P(EveryOptimizer, AZeroGradientFromTheStartMovesNothingButDecay) {
  Parameters parameters = {{"p", StartValue(0, {4, 4}).requires_grad_(), false}};
  const at::Tensor before = parameters[0].value.detach().clone();
  const auto optimizer = Make(parameters);
  for (int step = 0; step < 3; ++step) {
    parameters[0].value.mutable_grad() = torch::zeros({4, 4});
    optimizer->Step(1);
  }
  EXPECT_TRUE(parameters[0].value.equal(before));
}

// Every bound of every field, by reflection: the bound itself where it is included, else one step outside.
TEST_P(EveryOptimizer, RefusesArgumentsOutOfRange) {
  const auto* rule = proto::Optimizer::descriptor()->FindFieldByName(GetParam().name)->message_type();
  int refused = 0;
  for (int i = 0; i < rule->field_count(); ++i) {
    const auto* field = rule->field(i);
    const proto::Range& range = field->options().GetExtension(proto::range);
    std::vector<double> outside;
    if (range.has_min()) outside.push_back(range.min() - 1e-3);
    if (range.has_max()) outside.push_back(range.max() + 1e-3);
    if (range.has_above()) outside.push_back(range.above());
    if (range.has_below()) outside.push_back(range.below());
    EXPECT_FALSE(outside.empty()) << field->full_name() << " has no range";
    outside.push_back(std::numeric_limits<double>::quiet_NaN());
    for (const double value : outside) {
      proto::Optimizer spec = DefaultSpec(GetParam().name);
      const auto* kind = proto::Optimizer::descriptor()->FindFieldByName(GetParam().name);
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
  EXPECT_GT(refused, 5);
  proto::Optimizer misspelt;
  EXPECT_THROW(ParseText(GetParam().name + " {learning_rat: 1e-3}", "test", &misspelt), Error);
  EXPECT_THROW(ParseText(GetParam().name + " {}", "test", &misspelt), Error);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryOptimizer, testing::ValuesIn(Optimizers()),
                         [](const auto& info) { return info.param.name; });

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
  const at::Tensor a = torch::zeros({2}).requires_grad_();
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
