#include "base/config.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"

namespace thimble {
namespace {

using testing::AllOf;
using testing::HasSubstr;

template <typename Body>
std::string MessageOf(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::string ParseError(const std::string& text) {
  proto::Recipe recipe;
  return MessageOf([&] { ParseText(text, "r.textproto", &recipe); });
}

TEST(Config, MisspeltFieldNamesPlaceAndAcceptedFields) {
  EXPECT_THAT(ParseError("epochs: 2\nepoch: 3\n"),
              AllOf(HasSubstr("r.textproto:2:"), HasSubstr("epoch"), HasSubstr("accepted: epochs, batching"),
                    HasSubstr("; did you mean epochs?")));
}

TEST(Config, NestedMisspeltFieldNamesItsMessage) {
  EXPECT_THAT(ParseError("optimizer {\n  came { learnig_rate: 1 }\n}"),
              AllOf(HasSubstr("r.textproto:2:"), HasSubstr("learnig_rate"), HasSubstr("learning_rate, beta1"),
                    HasSubstr("; did you mean learning_rate?")));
}

TEST(Config, UnknownEnumValueNamesAcceptedOnes) {
  EXPECT_THAT(ParseError("precision: HALF"), AllOf(HasSubstr("HALF"), HasSubstr("AUTO, FLOAT32, BFLOAT16")));
}

TEST(Config, OutOfRangeNamesLineFieldValueAndBounds) {
  EXPECT_THAT(ParseError("optimizer {\n  came {\n    learning_rate: 2\n  }\n}"),
              AllOf(HasSubstr("r.textproto:3"), HasSubstr("optimizer.came.learning_rate"), HasSubstr("got 2"),
                    HasSubstr("above 0"), HasSubstr("at most 1")));
}

TEST(Config, RangeBoundsAreInsideOrOutsideAsDeclared) {
  proto::Recipe recipe;
  const auto with = [&](const std::string& field) {
    ParseText("optimizer { adamw { learning_rate: 1 } } " + field, "r", &recipe);
  };
  EXPECT_NO_THROW(with("dropout: 0"));
  EXPECT_NO_THROW(with("dropout: 0.999"));
  EXPECT_THROW(with("dropout: 1"), Error);
  EXPECT_THROW(with("dropout: -0.001"), Error);
  EXPECT_THROW(with("dropout: nan"), Error);
  EXPECT_THROW(with("batching { size: 0 }"), Error);
  EXPECT_THROW(with("objective { layer_map: [1, 0] }"), Error);
}

TEST(Config, MissingRequiredFieldAndOneof) {
  EXPECT_THAT(ParseError("epochs: 1"), HasSubstr("optimizer: must be given"));
  EXPECT_THAT(ParseError("epochs: 1\noptimizer {\n}"),
              AllOf(HasSubstr("one of its kinds"), HasSubstr("adamw, came")));
  EXPECT_THAT(ParseError("optimizer { came { beta1: 0.5 } }"),
              HasSubstr("optimizer.came.learning_rate: must be given"));
}

TEST(Config, TwoKindsAtOnceAreRefused) {
  EXPECT_THAT(ParseError("optimizer { came { learning_rate: 1e-4 } adamw { learning_rate: 1e-4 } }"),
              HasSubstr("r.textproto:1:"));
}

TEST(Config, MissingFileIsNamed) {
  proto::Recipe recipe;
  EXPECT_THAT(MessageOf([&] { ReadText("/nowhere/r.textproto", &recipe); }),
              HasSubstr("/nowhere/r.textproto"));
}

TEST(Override, SetsNestedRepeatedAndEnumFields) {
  proto::Recipe recipe;
  ParseText("optimizer { came { learning_rate: 1e-4 } } objective { loss { soft_labels {} } }", "r", &recipe);
  Override("optimizer.came.beta3=0.99", &recipe);
  Override("objective.loss[0].weight=2", &recipe);
  Override("objective.loss[1]={hard_labels {}}", &recipe);
  Override("precision=FLOAT32", &recipe);
  Override("objective.layer_map=[2, 4]", &recipe);
  Override("objective.layer_map[1]=6", &recipe);
  EXPECT_EQ(recipe.optimizer().came().beta3(), 0.99);
  EXPECT_EQ(recipe.optimizer().came().learning_rate(), 1e-4);
  EXPECT_EQ(recipe.objective().loss(0).weight(), 2);
  EXPECT_TRUE(recipe.objective().loss(1).has_hard_labels());
  EXPECT_EQ(recipe.precision(), proto::FLOAT32);
  EXPECT_EQ(recipe.objective().layer_map(1), 6);
  EXPECT_EQ(recipe.objective().layer_map_size(), 2);
}

TEST(Override, TextNeedsNoQuotes) {
  proto::Study study;
  Override("teacher.model=teachers/a b", &study);
  EXPECT_EQ(study.teacher().model(), "teachers/a b");
}

TEST(Override, TextOfAnyBytesIsKept) {
  const std::string text =
      "it's \"my\" back\\slash\nline\x7f\x01"
      "7 \xc3\xa9";
  proto::Study study;
  Override("teacher.model=" + text, &study);
  EXPECT_EQ(study.teacher().model(), text);
}

TEST(Override, ErrorsNameTheAssignment) {
  proto::Recipe recipe;
  const auto error = [&](const std::string& text) { return MessageOf([&] { Override(text, &recipe); }); };
  EXPECT_THAT(error("epocs=1"), AllOf(HasSubstr("--set epocs=1"), HasSubstr("accepted: epochs"),
                                      HasSubstr("; did you mean epochs?")));
  EXPECT_THAT(error("epochs"), HasSubstr("path=value"));
  EXPECT_THAT(error("epochs=many"), HasSubstr("--set epochs=many"));
  EXPECT_THAT(error("objective.loss[3].weight=1"), HasSubstr("0 entries"));
  EXPECT_THAT(error("objective.loss[x].weight=1"), HasSubstr("number in brackets"));
  EXPECT_THAT(error("epochs.x=1"), HasSubstr("has no fields"));
}

TEST(CanonicalText, IgnoresSpeltOutDefaults) {
  proto::Recipe bare, spelt;
  ParseText("optimizer { came { learning_rate: 1e-4 } }", "r", &bare);
  ParseText("epochs: 3 optimizer { came { learning_rate: 0.0001 beta1: 0.9 } } dropout: 0", "r", &spelt);
  EXPECT_EQ(CanonicalText(bare), CanonicalText(spelt));
  spelt.set_epochs(4);
  EXPECT_NE(CanonicalText(bare), CanonicalText(spelt));
}

TEST(CanonicalText, KeepsTheKindOfAnEmptyChoice) {
  proto::Loss soft, hard;
  soft.mutable_soft_labels();
  hard.mutable_hard_labels();
  EXPECT_NE(CanonicalText(soft), CanonicalText(hard));
}

TEST(PrintText, RoundTrips) {
  proto::Recipe recipe, again;
  ParseText(
      "optimizer { came { learning_rate: 1e-4 } } objective { loss { soft_labels {} } layer_map: [2, 4] }",
      "r", &recipe);
  const std::string text = PrintText(recipe);
  EXPECT_THAT(text, HasSubstr("# proto-message: thimble.proto.Recipe"));
  ParseText(text, "again", &again);
  EXPECT_EQ(CanonicalText(recipe), CanonicalText(again));
}

TEST(Describe, FieldsCarryTypeRangeDefaultAndComment) {
  const std::string text = DescribeFields(*proto::Came::descriptor());
  EXPECT_THAT(text, HasSubstr("beta3: number, at least 0, below 1, default 0.9999"));
  EXPECT_THAT(text, HasSubstr("confidence statistics"));
  EXPECT_THAT(CommentOf("thimble.proto.Came"), HasSubstr("algorithm 2"));
  EXPECT_THAT(DescribeFields(*proto::FeedForwardSpace::descriptor()), HasSubstr("default [1, 2, 3, 4]"));
}

}  // namespace
}  // namespace thimble
