#include "models/hub/weight_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace thimble::models {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kBert = {"bert.embeddings.word_embeddings.weight",
                                        "bert.encoder.layer.0.output.dense.bias", "bert.pooler.dense.weight",
                                        "classifier.weight"};
const std::vector<std::string> kBare = {"embeddings.word_embeddings.weight",
                                        "encoder.layer.0.output.dense.bias"};
const std::vector<std::string> kOurs = {"embedding.token", "layer.0.ffn.0.up.weight", "head.weight"};

std::vector<std::string> Within(const std::string& prefix, std::vector<std::string> names) {
  for (std::string& name : names) name.insert(0, prefix);
  return names;
}

TEST(WeightNamesTest, PlainNamesStay) {
  for (const auto& names : {kBert, kBare}) {
    const auto unwrapped = UnwrapNames(names, Family::kBert);
    EXPECT_EQ(unwrapped.names, names);
    EXPECT_EQ(unwrapped.note + unwrapped.obstacle, "");
  }
  EXPECT_EQ(UnwrapNames(kOurs, std::nullopt).names, kOurs);
}

TEST(WeightNamesTest, WhatStandsBeforeAllIsLeftOut) {
  for (const char* prefix : {"module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.",
                             "module.model.", "_fsdp_wrapped_module.", "net.0.auto_model."}) {
    for (const auto& names : {kBert, kBare}) {
      const auto unwrapped = UnwrapNames(Within(prefix, names), Family::kBert);
      EXPECT_EQ(unwrapped.names, names) << prefix;
      EXPECT_THAT(unwrapped.note, AllOf(HasSubstr("'"), HasSubstr("left out"))) << prefix;
    }
    EXPECT_EQ(UnwrapNames(Within(prefix, kOurs), std::nullopt).names, kOurs) << prefix;
  }
  EXPECT_EQ(UnwrapNames(Within("bert.", {kBert.begin(), kBert.end() - 1}), Family::kBert).names,
            (std::vector<std::string>{kBert.begin(), kBert.end() - 1}));
}

TEST(WeightNamesTest, WrappersWithinNames) {
  const auto unwrapped = UnwrapNames(
      {"bert.embeddings.word_embeddings.weight",
       "bert.encoder.layer.0._orig_mod.attention._fsdp_wrapped_module.x", "bert.not_orig_mod.weight"},
      Family::kBert);
  EXPECT_THAT(unwrapped.names,
              ::testing::ElementsAre("bert.embeddings.word_embeddings.weight",
                                     "bert.encoder.layer.0.attention.x", "bert.not_orig_mod.weight"));
}

TEST(WeightNamesTest, WhatStandsBeforeSomeIsAnObstacle) {
  auto names = Within("encoder.", kBare);
  names.push_back("classifier.weight");
  const auto unwrapped = UnwrapNames(names, Family::kBert);
  EXPECT_EQ(unwrapped.names, names);
  EXPECT_EQ(unwrapped.obstacle,
            "the encoder's names begin with 'encoder.', but 'classifier.weight' does not");
}

// Which of them is meant cannot be told, and a RoBERTa's weights make no BERT.
TEST(WeightNamesTest, TwoEncodersOrAnotherFamilys) {
  auto two = Within("student.", kBert);
  for (const std::string& name : Within("teacher.", kBert)) two.push_back(name);
  EXPECT_EQ(UnwrapNames(two, Family::kBert).names, two);
  const auto roberta = Within("module.roberta.", kBare);
  EXPECT_EQ(UnwrapNames(roberta, Family::kBert).names, roberta);
  EXPECT_EQ(UnwrapNames(roberta, Family::kRoberta).names, Within("roberta.", kBare));
}

TEST(WeightNamesTest, LongListsAreCut) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("w" + std::to_string(i));
  EXPECT_THAT(ListNames(names), AllOf(StartsWith("w0, w1, w2"), EndsWith("w18, w19")));
  names.push_back("w20");
  EXPECT_EQ(ListNames(names), "w0, w1, w2, w3, w4 and 16 more");
}

}  // namespace
}  // namespace thimble::models
