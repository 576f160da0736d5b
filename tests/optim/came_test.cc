// CAME against a plain double-precision reading of algorithm 2 of its paper, on the shapes where loops go
// wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/config.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"
#include "tests/optim/numbers.h"
#include "tests/optim/spec.h"

namespace thimble::optim {
namespace {

// Algorithm 2 on a matrix, with torch's double tensors.
struct Reference {
  at::Tensor p, m, r, c, rr, cc;
  explicit Reference(const at::Tensor& start)
      : p(start.to(at::kDouble)),
        m(at::zeros_like(p)),
        r(at::zeros({p.size(0), 1}, at::kDouble)),
        c(at::zeros({1, p.size(1)}, at::kDouble)),
        rr(at::zeros_like(r)),
        cc(at::zeros_like(c)) {}

  void Step(const at::Tensor& gradient, double rate, const proto::Came& spec) {
    const at::Tensor g = gradient.to(at::kDouble), squares = g * g + spec.epsilon1();
    r = spec.beta2() * r + (1 - spec.beta2()) * squares.sum(1, true);
    c = spec.beta2() * c + (1 - spec.beta2()) * squares.sum(0, true);
    at::Tensor u = g / (at::matmul(r, c) / r.sum()).sqrt();
    u = u / std::max(1.0, u.square().mean().sqrt().item<double>() / spec.clip_threshold());
    m = spec.beta1() * m + (1 - spec.beta1()) * u;
    const at::Tensor residual = (u - m).square() + spec.epsilon2();
    rr = spec.beta3() * rr + (1 - spec.beta3()) * residual.sum(1, true);
    cc = spec.beta3() * cc + (1 - spec.beta3()) * residual.sum(0, true);
    p = p * (1 - rate * spec.weight_decay()) - rate * m / (at::matmul(rr, cc) / rr.sum()).sqrt();
  }
};

TEST(Came, AgreesWithAlgorithm2OnEveryShapeOfLoop) {
  const std::vector<std::vector<int64_t>> shapes = {{1, 1},  {1, 7},   {5, 1},    {3, 16},   {9, 33},
                                                    {64, 5}, {65, 31}, {129, 65}, {700, 130}};
  const proto::Optimizer spec = Spec("came {learning_rate: 1e-3}");
  for (uint32_t i = 0; i < shapes.size(); ++i) {
    const at::Tensor value = StartValue(i, shapes[i]).requires_grad_();
    Reference reference(value.detach());
    const auto optimizer = MakeOptimizer(spec, {{"p", value}});
    for (int step = 0; step < 20; ++step) {
      const at::Tensor gradient = GradientValue(i, step, shapes[i]);
      value.mutable_grad() = gradient;
      optimizer->Step(0.5);
      reference.Step(gradient, 0.5e-3, spec.came());
    }
    const double largest = reference.p.abs().max().item<double>();
    EXPECT_LT((value.detach() - reference.p).abs().max().item<double>(), 2e-6 * largest) << shapes[i];
  }
}

// 30,000 rows of like squares: a running float32 sum is off by 6e-5.
TEST(Came, ColumnStatisticsOfALongTableAreExact) {
  const at::Tensor value = at::zeros({30000, 3}).requires_grad_();
  const at::Tensor gradient = at::full({30000, 3}, 0.1f);
  value.mutable_grad() = gradient;
  const auto optimizer = MakeOptimizer(Spec("came {learning_rate: 1e-3 beta2: 0}"), {{"p", value}});
  optimizer->Step(1);
  const double want = gradient.to(at::kDouble).square()[0][0].item<double>();
  for (const auto& [name, tensor] : optimizer->State())
    if (name == "p/column") {
      EXPECT_NEAR(tensor[1].item<double>() / want, 1, 2e-6);
    }
}

TEST(Came, StateIsMomentumPlusFourVectors) {
  const auto bytes = [](const std::vector<int64_t>& sizes) {
    return MakeOptimizer(Spec("came {learning_rate: 1e-3}"), {{"p", at::zeros(sizes).requires_grad_()}})
        ->StateBytes();
  };
  EXPECT_EQ(bytes({30, 70}), 4 * (30 * 70 + 2 * 30 + 2 * 70));
  EXPECT_EQ(bytes({40}), 4 * 2 * 40);
  EXPECT_EQ(bytes({3, 4, 5}), 4 * 2 * 60);
  EXPECT_EQ(bytes({30, 70, 1, 1}), bytes({30, 70}));
}

// LAST_DIMENSIONS: every leading index has statistics of its own, as came-pytorch; one bound for the tensor.
TEST(Came, LeadingIndicesAreMatricesOfTheirOwnIfAsked) {
  const std::string rule = "came {learning_rate: 1e-2 clip_threshold: 1e9 factoring: ";
  const at::Tensor cube = StartValue(0, {3, 4, 5}).requires_grad_();
  const auto together = MakeOptimizer(Spec(rule + "LAST_DIMENSIONS}"), {{"p", cube}});
  EXPECT_EQ(together->StateBytes(), 4 * (60 + 2 * 3 * 4 + 2 * 3 * 5));
  Parameters slices;
  for (int i = 0; i < 3; ++i)
    slices.push_back({"p" + std::to_string(i), StartValue(0, {3, 4, 5})[i].clone().requires_grad_()});
  const auto apart = MakeOptimizer(Spec(rule + "MATRICES}"), slices);
  for (int step = 0; step < 10; ++step) {
    cube.mutable_grad() = GradientValue(0, step, {3, 4, 5});
    for (int i = 0; i < 3; ++i) slices[i].value.mutable_grad() = cube.grad()[i].clone();
    together->Step(1);
    apart->Step(1);
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(cube.detach()[i].equal(slices[i].value.detach())) << i;
}

TEST(Came, OtherTensorsAreUpdatedLikeOneVector) {
  const at::Tensor cube = StartValue(0, {3, 4, 5}).requires_grad_(),
                   flat = StartValue(0, {60}).requires_grad_();
  const auto a = MakeOptimizer(Spec("came {learning_rate: 1e-2}"), {{"p", cube}});
  const auto b = MakeOptimizer(Spec("came {learning_rate: 1e-2}"), {{"p", flat}});
  for (int step = 0; step < 10; ++step) {
    flat.mutable_grad() = GradientValue(0, step, {60});
    cube.mutable_grad() = flat.grad().view({3, 4, 5}).clone();
    a->Step(1);
    b->Step(1);
  }
  EXPECT_TRUE(cube.flatten().equal(flat));
  EXPECT_FALSE(flat.equal(StartValue(0, {60})));
}

// A momentum scaled in place by the rate would keep the step of a vector at 0.1 rates.
TEST(Came, AVectorsStepGrowsToTheLearningRate) {
  const at::Tensor value = at::zeros({8}).requires_grad_();
  const auto optimizer =
      MakeOptimizer(Spec("came {learning_rate: 1e-3 beta2: 0 weight_decay: 0}"), {{"p", value}});
  at::Tensor before;
  for (int step = 0; step < 100; ++step) {
    before = value.detach().clone();
    value.mutable_grad() = at::ones({8});
    optimizer->Step(1);
  }
  EXPECT_NEAR((before - value.detach())[0].item<double>() / 1e-3, 1, 1e-3);
}

TEST(Came, TheFirstStepIsElevenLearningRatesLong) {
  const at::Tensor value = at::zeros({64, 64}).requires_grad_();
  value.mutable_grad() = GradientValue(3, 0, {64, 64}).abs() + 0.5;
  MakeOptimizer(Spec("came {learning_rate: 1e-3}"), {{"p", value}})->Step(1);
  EXPECT_NEAR(value.detach().square().mean().sqrt().item<double>() / 1e-3, 11.1, 0.2);
}

// The other sizes that the warning quotes, in learning rates.
TEST(Came, AGradientThatStaysTheSameGivesLongerSteps) {
  const at::Tensor value = at::zeros({64, 64}).requires_grad_();
  const auto optimizer = MakeOptimizer(Spec("came {learning_rate: 1e-3 weight_decay: 0}"), {{"p", value}});
  for (int step = 1; step <= 300; ++step) {
    const at::Tensor before = value.detach().clone();
    value.mutable_grad() = at::ones({64, 64});
    optimizer->Step(1);
    const double size = (value.detach() - before).square().mean().sqrt().item<double>() / 1e-3;
    if (step == 10) {
      EXPECT_NEAR(size, 34, 1);
    }
    if (step == 300) {
      EXPECT_NEAR(size, 49, 1);
    }
  }
}

TEST(Came, WarnsOnceWithoutWarmup) {
  proto::Schedule none, some;
  none.mutable_constant()->set_warmup_fraction(0);
  const auto warned = [](const std::string& optimizer, const proto::Schedule& schedule) {
    testing::internal::CaptureStderr();
    CheckWarmup(Spec(optimizer), schedule);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(warned("came {learning_rate: 1e-3}", some), "");
  EXPECT_EQ(warned("adamw {learning_rate: 1e-3}", none), "");
  EXPECT_THAT(warned("came {learning_rate: 1e-3}", none),
              testing::HasSubstr(
                  "11 learning rates long (RMS), and with a gradient that stays the same step 10 is 34 "
                  "and step 300 is 49"));
  EXPECT_EQ(warned("came {learning_rate: 1e-3}", none), "");
}

}  // namespace
}  // namespace thimble::optim
