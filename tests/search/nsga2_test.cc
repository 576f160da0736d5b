#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "search/controller.h"
#include "search/goals.h"
#include "search/pareto.h"
#include "search/strategy.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using testing::HasSubstr;

proto::Strategy Spec(const std::string& fields) {
  proto::Strategy spec;
  ParseText("nsga2 { " + fields + " }", "strategy", &spec);
  return spec;
}

// Larger blocks are better, the larger they are the less so, and hardly in four of the six layers.
double Score(const proto::Architecture& architecture) {
  double value = 0;
  for (int i = 0; i < architecture.layer_size(); ++i) {
    const auto& ffn = architecture.layer(i).ffn();
    value += (i % 3 == 0 ? 3 : 0.3) *
             std::sqrt(static_cast<double>(ffn.stacks() * models::InnerWidth(ffn, architecture.hidden())) /
                       architecture.hidden());
  }
  return value;
}

// What is dominated of the score against parameters in millions, after `trials`.
double Dominated(const proto::Strategy& spec, const StageSpace& space, uint64_t seed, int trials) {
  const auto strategy = MakeStrategy(spec, space, Random(seed));
  const auto parameters = CostOf(kParameters, space.study(), kContext, "");
  std::vector<Costs> points;
  for (int done = 0; done < trials; done += 4) {
    std::vector<Trial> round;
    for (const auto& architecture : strategy->Suggest(4)) {
      round.push_back({architecture, TrialState::kComplete, Score(architecture)});
      points.push_back({-Score(architecture), parameters(architecture) / 1e6});
    }
    strategy->Observe(round);
  }
  return Hypervolume(points, {0, 26});
}

TEST(Nsga2Test, FindsABetterFrontThanRandomSearchAndThanTheScoreAlone) {
  const StageSpace space = MakeSpace(MakeStudy(kAnyLayer, "[STACKS, RATIO]", ""));
  proto::Strategy random;
  random.mutable_random();
  double ours = 0, drawn = 0, one_goal = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    ours += Dominated(Spec(""), space, seed, 300) / 5;
    drawn += Dominated(random, space, seed, 300) / 5;
    one_goal += Dominated(Spec("goal: SCORE"), space, seed, 300) / 5;
  }
  EXPECT_GT(ours, 1.05 * drawn);
  EXPECT_GT(ours, 1.02 * one_goal);
  RecordProperty("nsga2", std::to_string(ours));
  RecordProperty("random", std::to_string(drawn));
  RecordProperty("score alone", std::to_string(one_goal));
}

void Refuses(const proto::Study& study, const std::string& expected) {
  try {
    ValidateStudy(study, kContext, "study");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), 2);
    EXPECT_THAT(error.what(), HasSubstr(expected));
  }
}

TEST(Nsga2Test, RefusesGoalsThatDoNotGoTogether) {
  auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  study.mutable_warmup()->mutable_sliced();
  auto* strategy = study.mutable_stage(0)->mutable_strategy();
  *strategy = Spec("goal: [SCORE, BYTES, SCORE]");
  Refuses(study, "stage[0].strategy.nsga2.goal[2]");
  *strategy = Spec("goal: [PARAMETERS, MULTIPLY_ADDS]");
  Refuses(study, "stage[0].strategy.nsga2.goal");
  *strategy = Spec("goal: [SCORE, LATENCY]");
  Refuses(study, "the study does not limit it");
  ParseText("latency { max_ms: 5 }", "target", study.add_target());
  EXPECT_NO_THROW(ValidateStudy(study, kContext, "study"));
  ParseText("parameters { max: 15500000 }", "target", study.add_target());  // whose study has no latency
  Refuses(study, "the study does not limit it");
}

TEST(GoalsTest, AreWhatTheStudySays) {
  auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  auto context = kContext;
  context.latency = [](const proto::Architecture& architecture, const proto::LatencyConstraint& spec) {
    return static_cast<double>(architecture.layer_size() * spec.length());
  };
  const auto seed = SeedArchitecture(study.space(), context);
  const auto cost = [&](Goal goal) { return CostOf(goal, study, context, "goal")(seed); };
  EXPECT_THROW(cost(kLatency), Error);
  ParseText("latency { max_ms: 5 length: 64 }", "constraint", study.add_constraint());
  EXPECT_EQ(cost(kLatency), 6 * 64);
  const double safetensors = cost(kBytes);
  EXPECT_NEAR(safetensors, 4 * cost(kParameters), 0.01 * safetensors);
  ParseText("bytes { max: 100000000 file: ONNX_INT8 }", "constraint", study.add_constraint());
  EXPECT_LT(cost(kBytes), 0.3 * safetensors);
  study.add_constraint()->mutable_multiply_adds()->set_length(17);  // the goal is of 128 tokens
  EXPECT_EQ(cost(kMultiplyAdds), [&] {
    proto::Study of_128;
    of_128.add_constraint()->mutable_multiply_adds()->set_max(1);
    return LimitsOf(of_128, context)[0].cost(seed);
  }());
  EXPECT_EQ(NameOf(kMultiplyAdds), "multiply_adds");
}

}  // namespace
}  // namespace thimble::search
