// Evaluators and filters: what their lists say, and that a search goes by it.
#include "search/evaluator.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "search/proxy.h"
#include "tests/search/kind_text.h"
#include "tests/search/toy_study.h"

namespace thimble::search {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::StartsWith;

template <typename Entry>
std::vector<std::string> Names(const std::vector<Entry>& entries) {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.push_back(entry.name);
  return names;
}

// The members of a oneof `kind`, sorted.
std::vector<std::string> Kinds(const google::protobuf::Descriptor* message) {
  std::vector<std::string> names;
  const auto* kind = message->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) names.push_back(kind->field(i)->name());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Evaluators, AreTheCasesOfTheSchemaSorted) {
  EXPECT_THAT(Names(Evaluators()), ElementsAreArray(Kinds(proto::Evaluator::descriptor())));
  EXPECT_THAT(Names(Filters()), ElementsAreArray(Kinds(proto::Filter::descriptor())));
  EXPECT_THAT(Names(Proxies()), ElementsAreArray(Kinds(proto::Proxy::descriptor())));
}

TEST(Evaluators, ThoseThatNeedASlicedStartAreRefusedWithoutOne) {
  for (const auto& entry : Evaluators()) {
    auto study = MakeStudy();
    study.mutable_stage(0)->clear_filter();
    Override("stage[0].evaluator={" + KindText(proto::Evaluator::descriptor(), entry.name) + "}", &study);
    ValidateStudy(study, kContext, "");
    study.clear_warmup();
    EXPECT_EQ(Thrown([&] { ValidateStudy(study, kContext, ""); }).second,
              entry.needs_sliced
                  ? "stage[0].evaluator." + entry.name +
                        ": scores sliced candidates, but the study does not slice the teacher; accepted: "
                        "warmup { sliced {} }, or an evaluator that trains"
                  : "nothing was thrown");
  }
}

TEST(Evaluators, FiltersThatNeedASlicedStartAreRefusedWithoutOne) {
  for (const auto& entry : Filters()) {
    auto study = MakeStudy();
    Override("stage[0].filter={" + KindText(proto::Filter::descriptor(), entry.name) + "}", &study);
    Override("stage[0].evaluator={short_distillation {}}", &study);
    ValidateStudy(study, kContext, "");
    study.clear_warmup();
    EXPECT_EQ(Thrown([&] { ValidateStudy(study, kContext, ""); }).second,
              entry.needs_sliced
                  ? "stage[0].filter." + entry.name +
                        ": scores sliced candidates, but the study does not slice the teacher; accepted: "
                        "warmup { sliced {} }, or no filter"
                  : "nothing was thrown");
  }
}

// Of a filter and of an evaluator.
class ProxyChecks : public testing::TestWithParam<std::string> {
 protected:
  std::string At(const std::string& more = "") const {
    return "stage[0]." + GetParam() + ".proxy" + more + ": ";
  }
  // What is said of a study with this proxy; nothing was thrown: it is taken.
  std::string Said(const std::string& proxy, bool sliced = true,
                   const std::string& mixers = "self_attention {}") const {
    auto study = MakeStudy();
    study.mutable_stage(0)->clear_filter();
    Override("stage[0].evaluator={short_distillation {}}", &study);
    Override("space.layer[0].mixer=[{ " + mixers + " }]", &study);
    Override("stage[0]." + GetParam() + "={proxy { " + proxy + " }}", &study);
    if (!sliced) study.clear_warmup();
    return Thrown([&] { ValidateStudy(study, kContext, ""); }).second;
  }
};
constexpr char kTaken[] = "nothing was thrown";

TEST_P(ProxyChecks, WhatIsCutNeedsASlicedStart) {
  for (const auto& entry : Proxies()) {
    EXPECT_EQ(Said(entry.name + " {}"), kTaken);
    EXPECT_EQ(Said(entry.name + " {}", false),
              entry.needs_sliced
                  ? At("." + entry.name) +
                        "scores sliced candidates, but the study does not slice the teacher; accepted: "
                        "warmup { sliced {} }, or another proxy"
                  : kTaken);
    if (entry.network)
      EXPECT_THAT(Said(entry.name + " {} sliced: true", false),
                  HasSubstr(At(".sliced") + "scores sliced candidates"));
  }
}

TEST_P(ProxyChecks, FieldsOfNetworksAreRefusedWhereThereIsNone) {
  for (const auto& entry : Proxies())
    for (const std::string field : {"sliced", "rows"})
      EXPECT_THAT(
          Said(entry.name + " {} " + field + (field == "rows" ? ": 9" : ": true")),
          StartsWith(entry.network ? kTaken : At("." + field) + entry.name + " does not look at a network"));
}

TEST_P(ProxyChecks, MixersWithoutScoresAreRefusedWhereScoresAreLookedAt) {
  for (const auto& entry : Proxies()) {
    EXPECT_EQ(Said(entry.name + " {}", true, "self_attention {} }, { none {}"), kTaken);
    EXPECT_THAT(Said(entry.name + " {}", true, "self_attention {} }, { linear_attention {}"),
                StartsWith(entry.needs_scores
                               ? At("." + entry.name) +
                                     "looks at attention scores, and a mixer of the space has none; got "
                                     "linear_attention"
                               : kTaken));
  }
}

INSTANTIATE_TEST_SUITE_P(Of, ProxyChecks, testing::Values("filter", "evaluator"),
                         [](const auto& info) { return info.param; });

class EvaluatorTest : public ControllerTest {};

// A stage opens with what it starts from: with its known score, or scored anew.
TEST_F(EvaluatorTest, AScoreIsCarriedOverUnlessItBelongsToItsStage) {
  for (const auto& entry : Evaluators()) {
    auto study = MakeStudy();
    study.mutable_stage()->DeleteSubrange(2, 1);
    for (int i = 0; i < 2; ++i)
      Override("stage[" + std::to_string(i) + "].evaluator={" +
                   KindText(proto::Evaluator::descriptor(), entry.name) + "}",
               &study);
    ToyScorer scorer;
    const auto results = Run(study, &scorer, entry.name + ".db");
    const auto& before = results[0].trials[results[0].best];
    const auto& opening = results[1].trials[0];
    EXPECT_EQ(opening.trial.architecture.SerializeAsString(), before.trial.architecture.SerializeAsString());
    EXPECT_EQ(opening.seconds, entry.belongs_to_its_stage ? 1 : 0) << entry.name;
  }
}

}  // namespace
}  // namespace thimble::search
