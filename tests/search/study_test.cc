// What a study may not say, and how it is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "tests/search/toy_study.h"

namespace thimble::search {
namespace {

using ::testing::HasSubstr;

struct Mistake {
  std::string change;  // of MakeStudy
  std::string path, problem;
};

class ValidateStudyTest : public ::testing::TestWithParam<Mistake> {};

TEST_P(ValidateStudyTest, IsRefusedWithItsPath) {
  auto study = MakeStudy();
  size_t at = 0;
  for (const std::string& all = GetParam().change; at < all.size();) {
    const size_t end = std::min(all.find(" ; ", at), all.size());
    Override(all.substr(at, end - at), &study);
    at = end + 3;
  }
  Validate(study, "study");
  const auto [code, text] = Thrown([&] { ValidateStudy(study, kContext, "file.textproto"); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("file.textproto: " + GetParam().path + ": "));
  EXPECT_THAT(text, HasSubstr(GetParam().problem));
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, ValidateStudyTest,
    ::testing::Values(
        Mistake{"stage[1].name=joint", "stage[1].name", "stage 0 has the same name"},
        Mistake{"stage[1].name=a/b", "stage[1].name", "letters, digits"},
        Mistake{"stage[1].from=shape", "stage[1].from", "comes later; got \"shape\"; accepted: joint"},
        Mistake{"stage[1].from=operators", "stage[1].from", "itself"},
        Mistake{"stage[2].from=none", "stage[2].from",
                "no stage has this name; got \"none\"; accepted: joint, operators"},
        Mistake{"stage[0].from=none", "stage[0].from", "accepted: nothing, in the first stage"},
        Mistake{"stage[0].vary=[]", "stage[0].vary", "varies something; accepted: EXPRESSION, STACKS, RATIO"},
        Mistake{"stage[0].vary=[RATIO, RATIO]", "stage[0].vary[1]", "named twice; got RATIO"},
        Mistake{"stage[2].vary=STACKS ; space.layer[0].ffn.stacks=[2]", "stage[2].vary", "a single value"},
        Mistake{"warmup={}", "stage[0].filter.sliced_score", "does not slice"},
        Mistake{"stage[0].filter.keep=1e-7", "stage[0].filter.keep", "proposals a round"},
        Mistake{"stage[0].strategy.evolution.tournament=5", "stage[0].strategy.evolution.tournament",
                "at most 4"},
        Mistake{"constraint[0]={parameters {min: 10 max: 9}}", "constraint[0].parameters.min", "above max"},
        Mistake{"constraint[0]={parameters {max: 10}}", "stage[0]", ""}));

TEST(ValidateStudyCases, AcceptsWhatFits) {
  ValidateStudy(MakeStudy(), kContext, "study");
  auto study = MakeStudy();
  Override("constraint[0]={parameters {max: 1000000 counting: PAPER}}", &study);
  ValidateStudy(study, kContext, "study");
  const auto [code, text] =
      Thrown([&] { ValidateStudy(study, {.classes = 2, .teacher_hidden = 0}, "study"); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_THAT(text, HasSubstr("teacher"));
}

TEST(ValidateStudyCases, UntrainedNeedsASlicedStart) {
  auto study = MakeStudy();
  study.clear_warmup();
  study.mutable_stage(0)->clear_filter();
  const auto [code, text] = Thrown([&] { ValidateStudy(study, kContext, ""); });
  EXPECT_EQ(code, kBadRequest);
  EXPECT_EQ(text.substr(0, text.find(": ")), "stage[0].evaluator.untrained");
}

TEST(ValidateStudyCases, AStudyHasAStage) {
  auto study = MakeStudy();
  study.clear_stage();
  EXPECT_THAT(Thrown([&] { ValidateStudy(study, kContext, "study"); }).second,
              HasSubstr("at least one stage"));
}

}  // namespace
}  // namespace thimble::search
