#include "data/label_spelling.h"

#include <gmock/gmock.h>

#include "data/task.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(LabelSpellingTest, NumbersAreTheirValues) {
  for (const char* one : {"1", "1.0", "1.", "01", "+1", "1e0", "1.00", "10E-1", "0.1e1", " 1", "1 "})
    EXPECT_EQ(SpellingKey(one), SpellingKey("1")) << one;
  for (const char* zero : {"0", "-0", "0.0", "00", ".0", "0e5"})
    EXPECT_EQ(SpellingKey(zero), SpellingKey("0")) << zero;
  for (const char* other :
       {"-1", "10", "0.1", "1.01", "11", "1e1", "one", "1a", "1.0.0", "e1", ".", "-", "1e", "0x1", "I"})
    EXPECT_NE(SpellingKey(other), SpellingKey("1")) << other;
  EXPECT_EQ(SpellingKey("1200"), SpellingKey("1.2e3"));
  EXPECT_EQ(SpellingKey("-0.050"), SpellingKey("-.05"));
  // Equal as doubles.
  EXPECT_NE(SpellingKey("9007199254740993"), SpellingKey("9007199254740992"));
  EXPECT_NE(SpellingKey("1"), SpellingKey("1.00000000000000000001"));
  EXPECT_NE(SpellingKey("1e2147483647"), SpellingKey("1e2147483648"));
}

TEST(LabelSpellingTest, TruthValuesHaveNoCaseAndOtherWordsDo) {
  for (const char* yes : {"true", "True", "TRUE", "true "}) EXPECT_EQ(SpellingKey(yes), "true");
  EXPECT_EQ(SpellingKey("False"), "false");
  EXPECT_NE(SpellingKey("Positive"), SpellingKey("positive"));
  EXPECT_NE(SpellingKey("true"), SpellingKey("1"));
  EXPECT_NE(SpellingKey("#1e0"), SpellingKey("1"));
}

TEST(LabelSpellingTest, TheSameSpellingComesFirst) {
  EXPECT_EQ(FindLabel({"0", "1"}, "1"), 1);
  EXPECT_EQ(FindLabel({"0", "1"}, "1.0"), 1);
  EXPECT_EQ(FindLabel({"no", "True"}, "true"), 1);
  EXPECT_EQ(FindLabel({"0", "1"}, "2"), -1);
  EXPECT_EQ(FindLabel({"0", "1"}, "true"), -1);
  EXPECT_EQ(FindLabel({"0", "1"}, ""), -1);
}

// A user's task over files that this test writes.
class SpeltLabels : public ::testing::Test {
 protected:
  const TaskEntry& Make(const std::string& format, const std::string& train, const std::string& dev,
                        const std::string& more = "") {
    const std::string number = std::to_string(++made_), ending = number + "." + format + "'";
    scratch_.Write("train" + number + "." + format, train);
    scratch_.Write("dev" + number + "." + format, dev);
    return FindTask(scratch_.Write("task" + number + ".textproto",
                                   "custom { train: 'train" + ending + " dev: 'dev" + ending +
                                       " first: 'text' label: 'y' " + more + "}"),
                    scratch_.path());
  }
  std::vector<int> Labels(const TaskEntry& task, const std::string& file) {
    std::vector<int> labels;
    for (const Row& row : ReadRows(task, SplitPath(task, scratch_.path(), file))) labels.push_back(row.label);
    return labels;
  }
  const Scratch scratch_;
  int made_ = 0;
};

TEST_F(SpeltLabels, AreOneClassInEveryFormat) {
  struct Case {
    std::string format, train, dev, zero;
  };
  for (const auto& [format, train, dev, zero] :
       std::vector<Case>{{"tsv", "text\ty\na\t0.0\nb\t1\nc\t1.0\nd\t0\n", "text\ty\na\t01\nb\t0.00\n", "0"},
                         {"csv", "text,y\na,0.0\nb,1\nc,\"1.0\"\nd, 0\n", "text,y\na,1e0\nb,-0\n", "0.0"},
                         {"jsonl",
                          "{\"text\":\"a\",\"y\":0.0}\n{\"text\":\"b\",\"y\":1}\n{\"text\":\"c\",\"y\":1.0}"
                          "\n{\"text\":\"d\",\"y\":\"0\"}",
                          "{\"text\":\"a\",\"y\":\"1.0\"}\n{\"text\":\"b\",\"y\":0}", "0"}}) {
    SCOPED_TRACE(format);
    testing::internal::CaptureStderr();
    const TaskEntry& task = Make(format, train, dev);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("one class, \"1\""));
    EXPECT_THAT(task.labels, ElementsAre(zero, "1"));
    EXPECT_THAT(Labels(task, task.train), ElementsAre(0, 1, 1, 0));
    EXPECT_THAT(Labels(task, task.dev), ElementsAre(1, 0));
  }
}

TEST_F(SpeltLabels, TruthValuesOfJsonAndOfTables) {
  const TaskEntry& json =
      Make("jsonl",
           "{\"text\":\"a\",\"y\":true}\n{\"text\":\"b\",\"y\":\"true\"}\n{\"text\":\"c\",\"y\":\"True\"}\n"
           "{\"text\":\"d\",\"y\":false}\n",
           "{\"text\":\"a\",\"y\":\"FALSE\"}");
  EXPECT_THAT(json.labels, ElementsAre("false", "true"));
  EXPECT_THAT(Labels(json, json.train), ElementsAre(1, 1, 1, 0));
  EXPECT_THAT(Labels(json, json.dev), ElementsAre(0));
  EXPECT_THAT(
      ErrorOf([&] { Make("csv", "text,y\na,1\nb,0\nc,true\n", "text,y\na,1\n"); }),
      HasSubstr("train2.csv:4: column y holds truth values and numbers; got \"true\", and \"1\" at "));
}

TEST_F(SpeltLabels, OfEverySpellingAreInTheOrderOfTheirValues) {
  EXPECT_THAT(Make("csv", "text,y\na, 10\nb,+2\nc,1.0\n", "text,y\na,1\n").labels,
              ElementsAre("1.0", "+2", " 10"));
  EXPECT_THAT(Make("csv", "text,y\na,True\nb,true\nc,no\n", "text,y\na,no\n").labels,
              ElementsAre("no", "true"));
}

TEST_F(SpeltLabels, AreLeftAsTheyAreWhereEachHasOneSpelling) {
  testing::internal::CaptureStderr();
  const TaskEntry& task = Make("csv", "text,y\na,01\nb,2.50\nc,Yes\nd,yes\n", "text,y\na,1\n");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(task.labels, ElementsAre("01", "2.50", "Yes", "yes"));
  EXPECT_THAT(Labels(task, task.train), ElementsAre(0, 1, 2, 3));
}

TEST_F(SpeltLabels, ListedOnesAreMatchedAndNotListedTwice) {
  const TaskEntry& task = Make("csv", "text,y\na,1.0\nb,0.0\n", "text,y\na,1\n", "labels: ['1', '0']");
  EXPECT_THAT(Labels(task, task.train), ElementsAre(0, 1));
  EXPECT_THAT(ErrorOf([&] { Make("csv", "text,y\na,1\n", "text,y\na,1\n", "labels: ['1', '0', '1.0']"); }),
              HasSubstr("custom.labels: a label is listed in two spellings; got \"1\" and \"1.0\""));
  const TaskEntry& other = Make("csv", "text,y\na,2\nb,1\n", "text,y\na,1\n", "labels: ['1', '0']");
  EXPECT_THAT(ErrorOf([&] { Labels(other, other.train); }),
              HasSubstr("csv:2: unknown label in column y; got \"2\"; accepted: 1, 0"));
}

TEST_F(SpeltLabels, MustBeThere) {
  EXPECT_THAT(ErrorOf([&] { Make("csv", "text,y\na,1\nb,\n", "text,y\na,1\n"); }),
              HasSubstr("csv:3: empty label"));
  EXPECT_THAT(ErrorOf([&] { Make("tsv", "text\ty\na\t1\nb\t \n", "text\ty\na\t1\n"); }),
              HasSubstr("tsv:3: empty label"));
  EXPECT_THAT(ErrorOf([&] { Make("csv", "text,y\na,1\nb,1.0\n", "text,y\na,1\n"); }),
              HasSubstr("fewer than two different labels"));
  EXPECT_THAT(ErrorOf([&] { Make("jsonl", "{\"text\":\"a\",\"y\":null}", "{\"text\":\"a\",\"y\":1}"); }),
              HasSubstr("no member \"y\""));
  EXPECT_THAT(ErrorOf([&] { Make("jsonl", "{\"text\":\"a\",\"y\":[1]}", "{\"text\":\"a\",\"y\":1}"); }),
              HasSubstr("\"y\" is not a string or number"));
}

TEST_F(SpeltLabels, ScoresAreFiniteNumbers) {
  for (const char* cell : {"nan", "inf", "-inf", "1e999", "good", "", "1 2", "0x10", "true"}) {
    const TaskEntry& task =
        Make("csv", "text,y\na,1.5\n", "text,y\na,2\nb," + std::string(cell) + "\n", "kind: REGRESSION");
    EXPECT_THAT(ErrorOf([&] { Labels(task, task.dev); }),
                HasSubstr(task.dev + ":3: not a number in column y; got \"" + cell + "\""));
  }
}

}  // namespace
}  // namespace thimble::data
