// What holds for every proxy in search/proxies.inc, as an evaluator and as a filter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "search/proxy.h"
#include "tests/search/bench_study.h"

namespace thimble::search {
namespace {

class EveryProxy : public WorkbenchTest, public testing::WithParamInterface<ProxyEntry> {
 protected:
  // `more`: fields beside the kind.
  proto::Study OfIt(const std::string& more = "") const {
    const std::string proxy = "proxy { " + GetParam().name + " {} " + more + " }";
    auto study = Study("loss { hidden_states {} } loss { soft_labels {} }",
                       "evaluator { " + proxy + " } filter { " + proxy + " }");
    study.mutable_warmup()->clear_corpus();
    for (const int heads : {4, 2}) study.mutable_space()->mutable_layer(0)->add_heads(heads);
    return study;
  }
  std::unique_ptr<StudyScorer> Opened(const proto::Study& study) const {
    return Open(study, {.members_threads = 2, .threads = 2});
  }
  // With half of the heads, too.
  std::vector<proto::Architecture> Proposals(const proto::Study& study, const StudyScorer& bench) const {
    auto proposals = Candidates(study, bench);
    auto halved = study.space();
    halved.mutable_layer(0)->clear_heads();
    halved.mutable_layer(0)->add_heads(2);
    proposals.push_back(SeedArchitecture(halved, bench.context()));
    return proposals;
  }
};

TEST_P(EveryProxy, AScoreFollowsFromTheCandidateAlone) {
  const auto study = OfIt();
  const auto bench = Opened(study);
  const auto candidates = Proposals(study, *bench);
  const auto together = bench->Evaluate(study.stage(0), candidates);
  const auto resumed = Opened(study)->Evaluate(study.stage(0), candidates);
  ASSERT_EQ(together.size(), candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    EXPECT_TRUE(std::isfinite(together[i].value)) << together[i].reason;
    EXPECT_FALSE(nlohmann::json::parse(together[i].metrics).empty());
    EXPECT_EQ(resumed[i].value, together[i].value) << i;
    EXPECT_EQ(bench->Evaluate(study.stage(0), {candidates[i]})[0].value, together[i].value) << i;
  }
  // Not each sees every difference; all see heads.
  EXPECT_NE(together[0].value, together[3].value);
}

TEST_P(EveryProxy, AFilterGoesByTheSameScores) {
  const auto study = OfIt();
  const auto bench = Opened(study);
  const auto candidates = Proposals(study, *bench);
  const auto scores = bench->Evaluate(study.stage(0), candidates);
  const auto values = bench->Filter(study.stage(0), candidates);
  ASSERT_EQ(values.size(), candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) EXPECT_EQ(values[i], scores[i].value) << i;
}

// The student that was cut, and more rows, say something else.
TEST_P(EveryProxy, ItsFieldsMatter) {
  if (!GetParam().network) return;
  const auto plain = OfIt();
  const auto bench = Opened(plain);
  const auto candidates = Candidates(plain, *bench);
  const double value = bench->Evaluate(plain.stage(0), candidates)[1].value;
  for (const char* more : {"sliced: true", "rows: 4"}) {
    const auto study = OfIt(more);
    const auto scores = Opened(study)->Evaluate(study.stage(0), candidates);
    EXPECT_TRUE(std::isfinite(scores[1].value)) << more << scores[1].reason;
    EXPECT_NE(scores[1].value, value) << more;
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryProxy, testing::ValuesIn(Proxies()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace thimble::search
