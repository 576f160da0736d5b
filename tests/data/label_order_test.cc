// Outputs found by the names that published models give them.
#include "data/label_order.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/error.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

LabelOrder Matched(const std::vector<std::string>& names, const std::string& task,
                   const std::vector<std::pair<std::string, int>>& ids = {}) {
  return MatchLabels("model", {.names = names, .ids = ids}, FindTask(task), false);
}

std::string Refusal(const std::vector<std::string>& names, const TaskEntry& task,
                    const std::vector<std::pair<std::string, int>>& ids = {}) {
  try {
    MatchLabels("model", {.names = names, .ids = ids}, task, false);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

// Every entry's own labels, spellings of all of them, and any order.
TEST(LabelOrderTest, EveryTaskKnowsItsOwnNames) {
  for (const auto& task : Tasks()) {
    if (task.kind != TaskKind::kClassification || task.name == "custom") continue;
    SCOPED_TRACE(task.name);
    const size_t count = task.labels.size();
    ASSERT_EQ(task.spellings.size(), count);
    std::vector<int> turned(count);
    for (size_t i = 0; i < count; ++i) turned[i] = static_cast<int>((i + 1) % count);
    size_t most = 0;
    for (const auto& names : task.spellings) most = std::max(most, names.size());
    for (size_t spelling = 0; spelling <= most; ++spelling) {
      std::vector<std::string> names;
      for (size_t i = 0; i < count; ++i)
        names.push_back(spelling == 0 || task.spellings[i].empty()
                            ? task.labels[i]
                            : task.spellings[i][std::min(spelling, task.spellings[i].size()) - 1]);
      const auto straight = MatchLabels("model", {.names = names}, task, false);
      EXPECT_TRUE(std::is_sorted(straight.output.begin(), straight.output.end()));
      EXPECT_THAT(straight.note, IsEmpty());
      for (auto& name : names) std::transform(name.begin(), name.end(), name.begin(), ::toupper);
      std::vector<std::string> other(count);
      for (size_t i = 0; i < count; ++i) other[static_cast<size_t>(turned[i])] = names[i];
      const auto found = MatchLabels("model", {.names = other}, task, false);
      EXPECT_EQ(found.output, turned) << other[0];
      EXPECT_THAT(found.note, HasSubstr(other[0]));
    }
  }
}

TEST(LabelOrderTest, PublishedSpellings) {
  const struct {
    const char* task;
    std::vector<std::string> names;
    std::vector<int> output;
  } kCases[] = {
      {"mnli", {"CONTRADICTION", "NEUTRAL", "ENTAILMENT"}, {2, 1, 0}},
      {"mnli", {"contradiction", "entailment", "neutral"}, {1, 2, 0}},
      {"mnli", {"Contradictory", "Entail", "Neutral"}, {1, 2, 0}},
      {"mnli_mismatched", {"neutral", "contradiction", "entailment"}, {2, 0, 1}},
      {"adv_mnli", {"c", "n", "e"}, {2, 1, 0}},
      {"ax", {"neutral", "entailment", "contradiction"}, {1, 0, 2}},
      {"rte", {"not_entailment", "entailment"}, {1, 0}},
      {"qnli", {"Not-Entailment", "Entailment"}, {1, 0}},
      {"adv_qnli", {"NOT ENTAILMENT", "ENTAILMENT"}, {1, 0}},
      {"adv_rte", {"NON_ENTAILMENT", "entail"}, {1, 0}},
      {"wnli", {"entailment", "not entailment"}, {1, 0}},
      {"sst2", {"POSITIVE", "NEGATIVE"}, {1, 0}},
      {"adv_sst2", {"Positive", "Negative"}, {1, 0}},
      {"sst2", {"1", "0"}, {1, 0}},
      {"mrpc", {"equivalent", "not_equivalent"}, {1, 0}},
      {"mrpc", {"paraphrase", "not paraphrase"}, {1, 0}},
      {"qqp", {"duplicate", "not_duplicate"}, {1, 0}},
      {"adv_qqp", {"Duplicate", "Not Duplicate"}, {1, 0}},
      {"cola", {"acceptable", "unacceptable"}, {1, 0}},
      {"qqp", {"True", "False"}, {1, 0}},
      {"sample", {"yes", "no"}, {1, 0}},
  };
  for (const auto& [task, names, output] : kCases) {
    const auto found = Matched(names, task);
    EXPECT_EQ(found.output, output) << task << " " << names[0];
    EXPECT_THAT(found.note, HasSubstr(names[0])) << task;
  }
}

TEST(LabelOrderTest, OutputsWithoutNamesGoByPosition) {
  for (const auto& names : std::vector<std::vector<std::string>>{{"LABEL_0", "LABEL_1", "LABEL_2"},
                                                                 {"0", "1", "2"},
                                                                 {"Label 0", "label-1", "LABEL2"},
                                                                 {"class_0", "class_1", "class_2"}}) {
    const auto found = Matched(names, "mnli");
    EXPECT_THAT(found.output, ElementsAre(0, 1, 2));
    EXPECT_THAT(found.note, HasSubstr("by position"));
    EXPECT_THAT(found.note, HasSubstr(names[1]));
  }
  // "0" and "1" are names where labels are.
  EXPECT_THAT(Matched({"0", "1"}, "mrpc").note, IsEmpty());
  // The other table has the names.
  const auto found = Matched({"LABEL_0", "LABEL_1", "LABEL_2"}, "mnli",
                             {{"neutral", 0}, {"contradiction", 1}, {"entailment", 2}});
  EXPECT_THAT(found.output, ElementsAre(2, 0, 1));
  EXPECT_THAT(found.note, HasSubstr("neutral, contradiction, entailment"));
  // What an older transformers leaves in label2id says nothing.
  EXPECT_THAT(Matched({"neutral", "contradiction", "entailment"}, "mnli",
                      {{"LABEL_0", 0}, {"LABEL_1", 1}, {"LABEL_2", 2}})
                  .output,
              ElementsAre(2, 0, 1));
}

TEST(LabelOrderTest, OtherNamesAreRefusedWithBothLists) {
  const auto& mnli = FindTask("mnli");
  for (const auto& names : std::vector<std::vector<std::string>>{{"toxic", "insult", "threat"},
                                                                 {"entailment", "neutral", "other"},
                                                                 {"entailment", "entailment", "neutral"},
                                                                 {"LABEL_1", "LABEL_0", "LABEL_2"},
                                                                 {"1", "2", "3"}}) {
    const std::string refusal = Refusal(names, mnli);
    EXPECT_THAT(refusal, HasSubstr(names[0] + ", " + names[1] + ", " + names[2]));
    EXPECT_THAT(refusal, HasSubstr("entailment, neutral, contradiction"));
    EXPECT_THAT(refusal, HasSubstr("--assume-label-order"));
    EXPECT_THAT(MatchLabels("model", {.names = names}, mnli, true).output, ElementsAre(0, 1, 2));
  }
  EXPECT_THAT(Refusal({"LABEL_0", "LABEL_1"}, FindTask("sst2"), {{"ham", 0}, {"spam", 1}}),
              HasSubstr("ham: 0, spam: 1"));
}

TEST(LabelOrderTest, TablesThatDisagreeAreRefused) {
  const auto& mnli = FindTask("mnli");
  const std::vector<std::string> names = {"entailment", "neutral", "contradiction"};
  for (const auto& ids : std::vector<std::vector<std::pair<std::string, int>>>{
           {{"entailment", 2}, {"neutral", 1}, {"contradiction", 0}},
           {{"ENTAILMENT", 2}, {"NEUTRAL", 1}, {"CONTRADICTION", 0}},  // in other letters
           {{"entailment", -1}, {"neutral", 1}, {"contradiction", 2}},
           {{"neutral", 0}}}) {
    const std::string refusal = Refusal(names, mnli, ids);
    EXPECT_THAT(refusal, HasSubstr("id2label (entailment, neutral, contradiction)"));
    EXPECT_THAT(refusal, HasSubstr("label2id (" + ids[0].first + ": "));
    EXPECT_THAT(refusal, HasSubstr("contradict"));
    EXPECT_THAT(MatchLabels("model", {.names = names, .ids = ids}, mnli, true).output, ElementsAre(0, 1, 2));
  }
  EXPECT_THAT(Contradiction({.names = names, .ids = {{"neutral", 0}}}), HasSubstr("label2id (neutral: 0)"));
  EXPECT_THAT(Contradiction({.names = names, .ids = {{"neutral", 1}, {"NLI", 0}}}), IsEmpty());
  EXPECT_THAT(Contradiction({.names = names}), IsEmpty());
}

TEST(LabelOrderTest, WhatIsAskedIsSaid) {
  const auto& mnli = FindTask("mnli");
  EXPECT_THAT(MatchLabels("model", {.names = {"a", "b", "c"}}, mnli, true).note, HasSubstr("as asked"));
  EXPECT_THAT(MatchLabels("model", {.names = mnli.labels}, mnli, true).note, IsEmpty());
}

TEST(LabelOrderTest, NumbersAndSpansHaveNoOrder) {
  EXPECT_THAT(Matched({"anything"}, "stsb").output, ElementsAre(0));
  EXPECT_THAT(Matched({"end", "start"}, "squad").output, ElementsAre(0, 1));
}

// A user's own task, as a text file.
class CustomLabels : public testing::Test {
 protected:
  const TaskEntry& Task(const std::string& more) {
    const std::string text = R"(custom { dev: "dev.tsv" first: "text" label: "label" )" + more + " }";
    return FindTask(scratch_.Write(std::to_string(count_++) + ".textproto", text), scratch_.path());
  }
  const Scratch scratch_;
  int count_ = 0;
};

TEST_F(CustomLabels, UsualWords) {
  const struct {
    const char* labels;
    std::vector<std::string> names;
  } kCases[] = {
      {"labels: ['0', '1']", {"POSITIVE", "NEGATIVE"}},     {"labels: ['0', '1']", {"True", "False"}},
      {"labels: ['false', 'true']", {"TRUE", "FALSE"}},     {"labels: ['false', 'true']", {"1", "0"}},
      {"labels: ['neg', 'pos']", {"Positive", "Negative"}}, {"labels: ['no', 'yes']", {"true", "false"}},
      {"labels: ['Ham', 'Spam']", {"SPAM", "ham"}}};
  for (const auto& [labels, names] : kCases) {
    const auto found = MatchLabels("model", {.names = names}, Task(labels), false);
    EXPECT_THAT(found.output, ElementsAre(1, 0)) << labels << names[0];
  }
  EXPECT_THAT(MatchLabels("model", {.names = {"positive", "neutral", "negative"}},
                          Task("labels: ['neg', 'neu', 'pos']"), false)
                  .output,
              ElementsAre(2, 1, 0));
}

TEST_F(CustomLabels, NamesOfTheTasksOwn) {
  const auto& stars = Task(
      "labels: ['1', '2', '3'] label_names { label: '1' name: ['bad', 'one star'] } "
      "label_names { label: '2' name: 'fair' } label_names { label: '3' name: 'good' }");
  EXPECT_THAT(MatchLabels("model", {.names = {"Good", "fair", "One-Star"}}, stars, false).output,
              ElementsAre(2, 1, 0));
  EXPECT_THAT(Refusal({"Good", "Bad", "Ugly"}, stars), HasSubstr("1, 2, 3"));
  // A number that is a label is a name: output 1 is not label 2 because it comes second.
  EXPECT_THAT(Refusal({"0", "1", "2"}, stars), HasSubstr("0, 1, 2"));
  EXPECT_THROW(Task("labels: ['1', '2'] label_names { label: '3' name: 'x' }"), Error);
}

// Labels that only case, a sign or a space tells apart are compared as they are spelt.
TEST_F(CustomLabels, LabelsThatLookAlike) {
  const auto& signs = Task("labels: ['-1', '1']");
  EXPECT_THAT(MatchLabels("model", {.names = {"1", "-1"}}, signs, false).output, ElementsAre(1, 0));
  const auto& cases = Task("labels: ['us', 'US']");
  EXPECT_THAT(MatchLabels("model", {.names = {"US", "us"}}, cases, false).output, ElementsAre(1, 0));
  Refusal({"Us", "uS"}, cases);
  const auto& words = Task("labels: ['no', 'false']");  // words for the same class are two classes here
  EXPECT_THAT(MatchLabels("model", {.names = {"FALSE", "NO"}}, words, false).output, ElementsAre(1, 0));
}

TEST_F(CustomLabels, ThousandsOfLabels) {
  std::string labels = "labels: [";
  std::vector<std::string> names;
  constexpr int kCount = 10000;
  for (int i = 0; i < kCount; ++i) {
    labels += (i > 0 ? ", '" : "'") + std::string("intent_") + std::to_string(i) + "'";
    names.push_back("Intent " + std::to_string(kCount - 1 - i));
  }
  const auto found = MatchLabels("model", {.names = names}, Task(labels + "]"), false);
  EXPECT_EQ(found.output.front(), kCount - 1);
  EXPECT_EQ(found.output.back(), 0);
}

}  // namespace
}  // namespace thimble::data
