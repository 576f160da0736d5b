#include "search/strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/config.h"
#include "models/arch/architecture.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

// 4^6 ratios x 4^6 stacks; the best point is one corner-free combination.
double ShapeObjective(const proto::Architecture& architecture) {
  double value = 0;
  for (int i = 0; i < architecture.layer_size(); ++i) {
    const auto& ffn = architecture.layer(i).ffn();
    value -= std::abs(ffn.stacks() - (1 + i % 4)) + (ffn.ratio() == (i % 2 ? "1/2" : "1/3") ? 0 : 1);
  }
  return value;
}

// Wants tanh and max somewhere in every layer, and short expressions.
double ExpressionObjective(const proto::Architecture& architecture) {
  double value = 0;
  for (const auto& layer : architecture.layer()) {
    const std::string& text = layer.ffn().expression();
    value += (text.find("tanh") != std::string::npos) + (text.find("max") != std::string::npos) -
             0.005 * text.size();
  }
  return value;
}

std::vector<Trial> Evaluate(const std::vector<proto::Architecture>& suggestions,
                            double (*objective)(const proto::Architecture&)) {
  std::vector<Trial> trials;
  for (const auto& architecture : suggestions)
    trials.push_back({architecture, TrialState::kComplete, objective(architecture)});
  return trials;
}

proto::Strategy Spec(const std::string& name) {
  proto::Strategy spec;
  if (name == "evolution") {
    spec.mutable_evolution()->set_population(16);
    spec.mutable_evolution()->set_tournament(4);
  } else {
    ParseText(name + " {}", "strategy", &spec);
    // Those that begin with a sample: a short one, so that they learn in these tests; and not for long.
    auto* kind = spec.GetReflection()->MutableMessage(&spec, KindField(spec));
    for (const auto& [field, value] : {std::pair("initial", 8), std::pair("rebuild", 3),
                                       std::pair("epochs", 20), std::pair("restarts", 2)})
      if (const auto* set = kind->GetDescriptor()->FindFieldByName(field))
        kind->GetReflection()->SetInt32(kind, set, value);
  }
  return spec;
}

std::string Text(const std::vector<proto::Architecture>& suggestions) {
  std::string text;
  for (const auto& architecture : suggestions) text += models::CanonicalArchitecture(architecture) + "\n";
  return text;
}

// A study that the strategy fits.
proto::Study StudyFor(const std::string& name, const std::string& vary) {
  if (name == "grid") return MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  if (name != "allocation") return MakeStudy(kAnyLayer, vary, kPaperLimit);
  return MakeStudy(
      "layer { mixer { self_attention {} } heads: [0, 1, 2, 4, 6, 9, 12] ffn { expression {} stacks: 1 "
      "width: [0, 64, 128, 256, 540, 1024, 2160] } } ",
      "[HEADS, WIDTH]", "max: 18000000");
}

// What the strategies look at: a stage before, damages that fall with what is kept.
StageInput InputFor(const StageSpace& space) {
  StageInput input{.controls = true};
  Random random(9);
  for (int i = 0; i < 80; ++i)
    input.before.push_back(
        {*space.Sample(&random), TrialState::kComplete, random.Uniform(), 0, i % 10 == 3 ? kUniform : ""});
  input.damages = [](int) {
    CutDamages damages{.neuron_step = 32};
    for (int layer = 0; layer < 6; ++layer) {
      auto& heads = damages.heads.emplace_back();
      for (int k = 0; k <= 12; ++k) heads.push_back((layer + 1) * std::exp(-k));
      auto& neurons = damages.neurons.emplace_back();
      for (int k = 0; k <= 96; ++k) neurons.push_back((6 - layer) * std::exp(-0.1 * k));
    }
    return damages;
  };
  return input;
}

// Rows of a table that differ in everything.
std::vector<proto::Architecture> Listed(int count) {
  const StageSpace space = MakeSpace(MakeStudy(kAnyLayer, "[EXPRESSION, STACKS, RATIO]", "", 3));
  Random random(11);
  std::vector<proto::Architecture> listed;
  for (int i = 0; i < count; ++i) {
    listed.push_back(*space.Sample(&random));
    if (i % 2) listed.back().mutable_layer()->RemoveLast();
  }
  return listed;
}

double Best(const std::string& name, const StageSpace& space, uint64_t seed, int trials,
            double (*objective)(const proto::Architecture&)) {
  const auto strategy = MakeStrategy(Spec(name), space, Random(seed));
  double best = -std::numeric_limits<double>::infinity();
  for (int done = 0; done < trials; done += 4) {
    const auto round = Evaluate(strategy->Suggest(4), objective);
    for (const Trial& trial : round) best = std::max(best, trial.value);
    strategy->Observe(round);
  }
  return best;
}

// Runs over every strategy in search/strategies.inc.
class EveryStrategy : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryStrategy, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& entry : Strategies()) names.push_back(entry.name);
                           return names;
                         }()),
                         [](const auto& info) { return info.param; });

template <typename Objective>
void SuggestsSixtyDifferentOnes(const StageSpace& space, Strategy* strategy, const Objective& objective) {
  std::set<std::string> seen;
  for (int round = 0; round < 12; ++round) {
    const auto suggestions = strategy->Suggest(5);
    ASSERT_EQ(suggestions.size(), 5u);
    for (const auto& architecture : suggestions) {
      EXPECT_TRUE(space.Feasible(architecture));
      EXPECT_TRUE(seen.insert(models::CanonicalArchitecture(architecture)).second);
    }
    strategy->Observe(Evaluate(suggestions, objective));
  }
}

TEST_P(EveryStrategy, SuggestsFeasibleAndDifferentOnes) {
  const auto study = StudyFor(GetParam(), "[EXPRESSION, STACKS, RATIO]");
  const StageSpace space = MakeSpace(study);
  const auto strategy = MakeStrategy(Spec(GetParam()), space, Random(1), InputFor(space));
  SuggestsSixtyDifferentOnes(space, strategy.get(), ShapeObjective);
}

TEST_P(EveryStrategy, AskingAgainGivesOthers) {
  const auto study = StudyFor(GetParam(), "[STACKS, RATIO]");
  const StageSpace space = MakeSpace(study);
  const auto strategy = MakeStrategy(Spec(GetParam()), space, Random(2), InputFor(space));
  std::set<std::string> seen;
  for (int i = 0; i < 10; ++i)
    for (const auto& architecture : strategy->Suggest(3))
      EXPECT_TRUE(seen.insert(models::CanonicalArchitecture(architecture)).second);
}

TEST_P(EveryStrategy, ReplayGoesOnAlike) {
  const auto study = StudyFor(GetParam(), "[EXPRESSION, STACKS, RATIO]");
  const StageSpace space = MakeSpace(study);
  const auto make = [&] { return MakeStrategy(Spec(GetParam()), space, Random(3), InputFor(space)); };
  const auto first = make();
  std::vector<std::vector<Trial>> stored;
  for (int round = 0; round < 8; ++round) {
    auto trials = Evaluate(first->Suggest(4), ExpressionObjective);
    trials[1].state = TrialState::kPruned;
    trials[1].value = std::nan("");
    if (round % 3 == 0) trials[2].state = TrialState::kFail;
    first->Observe(trials);
    stored.push_back(trials);
  }
  const std::string expected = Text(first->Suggest(4)), later = Text(first->Suggest(4));

  const auto observing = make(), asking = make(), singly = make();
  for (const auto& round : stored) {
    observing->Observe(round);
    EXPECT_EQ(Text(asking->Suggest(4)), [&] {
      std::vector<proto::Architecture> same;
      for (const Trial& trial : round) same.push_back(trial.architecture);
      return Text(same);
    }());
    asking->Suggest(7);  // more than was stored
    asking->Observe(round);
    for (const Trial& trial : round) singly->Observe({trial});
  }
  for (Strategy* resumed : {observing.get(), asking.get(), singly.get()}) {
    EXPECT_EQ(Text(resumed->Suggest(4)), expected);
    EXPECT_EQ(Text(resumed->Suggest(4)), later);
  }
}

// Those that draw from the whole of a stage, whatever it varies.
class EverySampler : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EverySampler, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& entry : Strategies())
                             if (!entry.proposes_base && !entry.needs_damages) names.push_back(entry.name);
                           return names;
                         }()),
                         [](const auto& info) { return info.param; });

bool ListsPoints(const std::string& name) {
  for (const auto& entry : Strategies())
    if (entry.name == name) return entry.lists_points;
  return false;
}

TEST_P(EverySampler, FindsEveryPointOfASmallSpaceThenStops) {
  // Two layers of 16 options, those within the limit.
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "min: 8500000 max: 9200000 counting: PAPER", 2);
  const StageSpace space = MakeSpace(study);
  const auto points = static_cast<size_t>(space.Points());
  const auto strategy = MakeStrategy(Spec(GetParam()), space, Random(4));
  std::set<std::string> seen;
  for (size_t round = 0; round * 7 <= points + 7; ++round) {
    const auto suggestions = strategy->Suggest(7);
    for (const auto& architecture : suggestions) seen.insert(models::CanonicalArchitecture(architecture));
    strategy->Observe(Evaluate(suggestions, ShapeObjective));
  }
  EXPECT_EQ(seen.size(), points);
  EXPECT_TRUE(strategy->Suggest(3).empty());
}

TEST_P(EverySampler, GoesThroughATable) {
  const StageSpace space = StageSpace::OfList(Listed(60), kContext, "table");
  const auto strategy = MakeStrategy(Spec(GetParam()), space, Random(4));
  SuggestsSixtyDifferentOnes(space, strategy.get(), ExpressionObjective);
  EXPECT_TRUE(strategy->Suggest(5).empty());
}

TEST_P(EverySampler, StopsWhereExpressionsRunOut) {
  if (ListsPoints(GetParam())) GTEST_SKIP() << "expressions are no points";
  // tanh and add up to height 3: the tanh one and, commuted ones counted once, two sums
  // (EveryLowTreeComesOut).
  const auto study = MakeStudy(
      "layer { mixer { self_attention {} } ffn { stacks: 1 ratio: '1/2' "
      "expression { unary: tanh binary: add max_height: 3 seed: 'linear(tanh(linear(x,wb1)),wb2)' } } }",
      "EXPRESSION", "", 1);
  const StageSpace space = MakeSpace(study);
  const auto strategy = MakeStrategy(Spec(GetParam()), space, Random(5));
  EXPECT_EQ(strategy->Suggest(50).size(), 3u);
  EXPECT_TRUE(strategy->Suggest(50).empty());
}

TEST_P(EverySampler, AnotherSeedGivesOthers) {
  if (ListsPoints(GetParam())) GTEST_SKIP() << "its order is its own";
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  EXPECT_NE(Text(MakeStrategy(Spec(GetParam()), space, Random(6))->Suggest(3)),
            Text(MakeStrategy(Spec(GetParam()), space, Random(7))->Suggest(3)));
}

TEST(StrategyTest, CatalogueAndSchemaAgree) {
  std::set<std::string> schema, catalogue;
  const auto* kind = proto::Strategy::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) schema.insert(kind->field(i)->name());
  for (const auto& entry : Strategies()) catalogue.insert(entry.name);
  EXPECT_EQ(catalogue, schema);
}

TEST(StrategyTest, OneIsTakenWhereNoneIsNamed) {
  const auto& all = Strategies();
  EXPECT_EQ(
      std::count_if(all.begin(), all.end(), [](const StrategyEntry& entry) { return entry.by_default; }), 1);
}

TEST(StrategyTest, NoneNamedIsRandomSearch) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", kPaperLimit);
  const StageSpace space = MakeSpace(study);
  EXPECT_EQ(Text(MakeStrategy({}, space, Random(8))->Suggest(5)),
            Text(MakeStrategy(Spec("random"), space, Random(8))->Suggest(5)));
}

TEST(AllocationSearchTest, RulesComeFirstThenStepsFromTheBest) {
  const auto study = StudyFor("allocation", "");
  const StageSpace space = MakeSpace(study);
  const auto strategy = MakeStrategy(Spec("allocation"), space, Random(1), InputFor(space));
  std::vector<std::string> origins;
  std::vector<Trial> all;
  for (int round = 0; round < 8; ++round) {
    auto trials = Evaluate(strategy->Suggest(8), [](const proto::Architecture& architecture) {
      // Prefers heads at the end, which no rule gives.
      double value = 0;
      for (int i = 0; i < architecture.layer_size(); ++i)
        value += i * models::SizeOf(models::Resolve(architecture), architecture.layer(i).mixer()).heads;
      return value;
    });
    for (auto& trial : trials) {
      trial.origin = strategy->Origin(trial.architecture);
      origins.push_back(trial.origin);
      all.push_back(trial);
    }
    strategy->Observe(trials);
  }
  EXPECT_THAT(std::vector(origins.begin(), origins.begin() + 4),
              testing::UnorderedElementsAre("plan", kUniform, "taper", kRandom));
  EXPECT_EQ(std::count(origins.begin(), origins.end(), "plan"), 1);
  EXPECT_EQ(std::count(origins.begin(), origins.end(), kRandom), 4);
  double by_rules = 0, by_steps = 0;
  for (const Trial& trial : all) {
    if (trial.origin == kUniform)
      for (const auto& layer : trial.architecture.layer())
        EXPECT_EQ(layer.SerializeAsString(), trial.architecture.layer(0).SerializeAsString());
    (trial.origin == "step" ? by_steps : by_rules) =
        std::max(trial.origin == "step" ? by_steps : by_rules, trial.value);
  }
  EXPECT_GT(by_steps, by_rules);
}

TEST(FinalistsTest, ControlsFirstThenTheBest) {
  const auto study = StudyFor("allocation", "");
  const StageSpace space = MakeSpace(study);
  StageInput input = InputFor(space);
  input.before[5].origin = kRandom;
  input.before[7].state = TrialState::kFail;
  double best_uniform = 0, best = 0;
  for (const Trial& trial : input.before) {
    if (trial.state != TrialState::kComplete) continue;
    best = std::max(best, trial.value);
    if (trial.origin == kUniform) best_uniform = std::max(best_uniform, trial.value);
  }
  const auto value = [&](const proto::Architecture& architecture) {
    for (const Trial& trial : input.before)
      if (models::CanonicalArchitecture(trial.architecture) == models::CanonicalArchitecture(architecture))
        return trial.value;
    return -1.0;
  };
  for (const bool controls : {true, false}) {
    input.controls = controls;
    const auto suggestions = MakeStrategy(Spec("finalists"), space, Random(1), input)->Suggest(5);
    ASSERT_EQ(suggestions.size(), 5u);
    EXPECT_EQ(value(suggestions[controls ? 2 : 0]), best);
    EXPECT_GT(value(suggestions[3]), value(suggestions[4]));
    if (!controls) continue;
    EXPECT_EQ(value(suggestions[0]), best_uniform);
    EXPECT_EQ(value(suggestions[1]), input.before[5].value);
  }
}

TEST(EvolutionTest, BeatsRandomSearchOnShapes) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "");
  const StageSpace space = MakeSpace(study);
  double evolution = 0, random = 0;
  int wins = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const double ours = Best("evolution", space, seed, 120, ShapeObjective);
    const double theirs = Best("random", space, seed, 120, ShapeObjective);
    evolution += ours / 10;
    random += theirs / 10;
    wins += ours > theirs;
  }
  EXPECT_GE(wins, 8);
  EXPECT_GT(evolution, random + 1);
  RecordProperty("evolution", std::to_string(evolution));
  RecordProperty("random", std::to_string(random));
}

TEST(EvolutionTest, BeatsRandomSearchOnExpressions) {
  const auto study = MakeStudy(kAnyLayer, "EXPRESSION", "");
  const StageSpace space = MakeSpace(study);
  double evolution = 0, random = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    evolution += Best("evolution", space, seed, 120, ExpressionObjective) / 5;
    random += Best("random", space, seed, 120, ExpressionObjective) / 5;
  }
  EXPECT_GT(evolution, random + 0.5);
  RecordProperty("evolution", std::to_string(evolution));
  RecordProperty("random", std::to_string(random));
}

TEST(TpeTest, BeatsRandomSearchOnShapesAndOnExpressions) {
  const std::vector<std::pair<std::string, double (*)(const proto::Architecture&)>> cases = {
      {"[STACKS, RATIO]", ShapeObjective}, {"EXPRESSION", ExpressionObjective}};
  for (const auto& [vary, objective] : cases) {
    const StageSpace space = MakeSpace(MakeStudy(kAnyLayer, vary, ""));
    double tpe = 0, random = 0;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      tpe += Best("tpe", space, seed, 120, objective) / 5;
      random += Best("random", space, seed, 120, objective) / 5;
    }
    EXPECT_GT(tpe, random + 0.5) << vary;
    RecordProperty("tpe " + vary, std::to_string(tpe));
    RecordProperty("random " + vary, std::to_string(random));
  }
}

TEST(EvolutionTest, TheOldDieWhateverTheirValue) {
  // A population of two: after two dull trials the splendid first pair is forgotten, and children resemble
  // the dull ones.
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "");
  const StageSpace space = MakeSpace(study);
  proto::Strategy spec;
  spec.mutable_evolution()->set_population(2);
  spec.mutable_evolution()->set_tournament(2);
  const auto strategy = MakeStrategy(spec, space, Random(9));
  auto dull = space.base(), splendid = LargestArchitecture(study.space(), kContext);
  auto dull2 = dull, splendid2 = splendid;
  dull2.mutable_layer(0)->mutable_ffn()->set_stacks(2);
  splendid2.mutable_layer(0)->mutable_ffn()->set_stacks(3);
  strategy->Observe({{splendid, TrialState::kComplete, 9}, {splendid2, TrialState::kComplete, 9}});
  strategy->Observe({{dull, TrialState::kComplete, 1}, {dull2, TrialState::kComplete, 1}});
  for (const auto& child : strategy->Suggest(5)) {
    int stacks = 0;
    for (const auto& layer : child.layer()) stacks += layer.ffn().stacks();
    EXPECT_LE(stacks,
              7 + 9);  // 6 or 7, at most three fields changed by 3; from the splendid ones: 23 - 9 or more
  }
}

TEST(EvolutionTest, FailedAndPrunedTrialsAreNoParents) {
  const auto study = MakeStudy(kAnyLayer, "[STACKS, RATIO]", "");
  const StageSpace space = MakeSpace(study);
  proto::Strategy spec;
  spec.mutable_evolution()->set_population(2);
  spec.mutable_evolution()->set_tournament(8);
  const auto strategy = MakeStrategy(spec, space, Random(10));
  auto good = space.base(), better = good;
  better.mutable_layer(0)->mutable_ffn()->set_stacks(2);
  strategy->Observe({{good, TrialState::kComplete, 1}, {better, TrialState::kComplete, 2}});
  auto failed = LargestArchitecture(study.space(), kContext), pruned = failed, left = failed;
  pruned.mutable_layer(0)->mutable_ffn()->set_stacks(3);
  strategy->Observe(
      {{failed, TrialState::kFail, 100}, {pruned, TrialState::kPruned, 100}, {left, TrialState::kLeft, 100}});
  for (const auto& child : strategy->Suggest(5)) {
    int stacks = 0;
    for (const auto& layer : child.layer()) stacks += layer.ffn().stacks();
    EXPECT_LE(stacks, 16);
  }
}

}  // namespace
}  // namespace thimble::search
