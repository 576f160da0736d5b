// What holds for every evaluator in search/evaluators.inc.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "search/evaluator.h"
#include "tests/search/bench_study.h"
#include "tests/search/kind_text.h"

namespace thimble::search {
namespace {

class EveryEvaluator : public WorkbenchTest, public testing::WithParamInterface<EvaluatorEntry> {
 protected:
  std::string Text() const {
    return "evaluator { " + KindText(proto::Evaluator::descriptor(), GetParam().name) + " }";
  }
  proto::Study OfIt() const { return Study("loss { hidden_states {} } loss { soft_labels {} }", Text()); }

  // As the controller does before a stage's first round.
  std::unique_ptr<StudyScorer> Prepared(const proto::Study& study) const {
    auto bench = Open(study, {.members_threads = 2, .threads = 2});
    const auto base = SeedArchitecture(study.space(), bench->context());
    space_ = std::make_unique<StageSpace>(study, study.stage(0), base, bench->context());
    bench->Prepare(study.stage(0), *space_);
    return bench;
  }

 private:
  mutable std::unique_ptr<StageSpace> space_;
};

TEST_P(EveryEvaluator, AScoreFollowsFromTheCandidateAlone) {
  const auto study = OfIt();
  const auto bench = Prepared(study);
  const auto candidates = Candidates(study, *bench);
  const auto together = bench->Evaluate(study.stage(0), candidates);
  ASSERT_EQ(together.size(), candidates.size());
  EXPECT_NE(together[0].value, together[1].value);
  // In another round, and after a kill.
  const auto resumed = Prepared(study)->Evaluate(study.stage(0), candidates);
  int stayed = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    EXPECT_TRUE(std::isfinite(together[i].value)) << together[i].reason;
    EXPECT_THAT(together[i].metrics,
                testing::AnyOf(testing::HasSubstr("\"accuracy\""), testing::HasSubstr("\"w_pca\"")));
    EXPECT_EQ(resumed[i].value, together[i].value) << i;
    EXPECT_EQ(resumed[i].metrics, together[i].metrics) << i;
    EXPECT_EQ(resumed[i].left_after, together[i].left_after) << i;
    const auto alone = bench->Evaluate(study.stage(0), {candidates[i]});
    EXPECT_EQ(alone[0].left_after, 0) << i;
    if (together[i].left_after > 0) continue;  // alone it stays
    ++stayed;
    EXPECT_EQ(alone[0].value, together[i].value) << i;
    EXPECT_EQ(alone[0].metrics, together[i].metrics) << i;
  }
  EXPECT_GE(stayed, 1);
}

// Of six cores, those that a round of four cannot use; where nothing trains side by side every core scores.
TEST_P(EveryEvaluator, MembersAreMeasuredWhereItTrainsCohorts) {
  const int members = Measured(Text(), 6).members_threads;
  if (GetParam().trains_cohorts) {
    EXPECT_THAT(members, testing::AnyOf(1, 4));
  } else {
    EXPECT_EQ(members, 6);
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryEvaluator, testing::ValuesIn(Evaluators()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace thimble::search
