// Each field of config.json is read, has one value that is computed here, or is without effect. The fields of
// transformers' configurations: tests/golden/config_fields.py.
#include "models/hub/hub_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/hub/config_fields.h"

namespace thimble::models {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kFamilies = {"bert",       "distilbert", "roberta",
                                            "mobilebert", "electra",    "convbert"};

const json& Golden() {
  static const json golden =
      json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/config_fields.json")).at("fields");
  return golden;
}

// A small valid configuration of a family.
json Small(const std::string& family) {
  if (family == "distilbert")
    return {{"model_type", family},
            {"vocab_size", 50},
            {"max_position_embeddings", 20},
            {"dim", 8},
            {"n_layers", 2},
            {"n_heads", 2},
            {"hidden_dim", 16}};
  json config = {{"model_type", family},   {"vocab_size", 50},       {"max_position_embeddings", 20},
                 {"hidden_size", 8},       {"num_hidden_layers", 2}, {"num_attention_heads", 2},
                 {"intermediate_size", 16}};
  if (family == "mobilebert") config.update(json{{"embedding_size", 5}, {"intra_bottleneck_size", 6}});
  if (family == "electra" || family == "convbert") config.update(json{{"embedding_size", 5}});
  return config;
}

// All that is read of a configuration, or why it is refused.
std::string Reading(const json& json_config) {
  try {
    const HubConfig config("config.json", json_config.dump());
    json all = {{"type", config.model_type()},
                {"architecture", CanonicalText(config.Architecture())},
                {"skipped", config.SkippedPositions()},
                {"segments", config.FileSegments()},
                {"labels", config.Labels(2)},
                {"ids", config.LabelIds()},
                {"problem", static_cast<int>(config.Problem())},
                {"class", config.ModelClass()},
                {"pooler", config.ReadsPooler()},
                {"threshold", config.Number("null_threshold").value_or(0)}};
    return all.dump();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return std::string("refused: ") + error.what();
  }
}

std::string ReadingWith(json config, const std::string& field, const json& value) {
  config[field] = value;
  return Reading(config);
}

class ConfigFieldsTest : public ::testing::TestWithParam<std::string> {
 protected:
  FieldUse UseOf(const std::string& name) const {
    const ConfigField* field = FindConfigField(FamilyOfModelType(GetParam()), name);
    EXPECT_NE(field, nullptr) << name << " of " << GetParam()
                              << " has no place in models/hub/config_fields.cc";
    return field == nullptr ? FieldUse::kRead : field->use;
  }
  const json base_ = Small(GetParam());
  const std::string reading_ = Reading(base_);
};

TEST_P(ConfigFieldsTest, TheBaseIsRead) { EXPECT_THAT(reading_, Not(HasSubstr("refused"))); }

TEST_P(ConfigFieldsTest, EveryFieldOfTransformersHasItsPlace) {
  EXPECT_GT(Golden().at(GetParam()).size(), 25u);
  for (const auto& [name, value] : Golden().at(GetParam()).items()) UseOf(name);
}

TEST_P(ConfigFieldsTest, WhatIsWithoutEffectMayBeAnything) {
  for (const auto& [name, value] : Golden().at(GetParam()).items()) {
    if (UseOf(name) != FieldUse::kNoEffect) continue;
    for (const json& other :
         {json(true), json(false), json(7), json(0.5), json("text"), json{{"a", 1}}, json(nullptr)})
      EXPECT_EQ(ReadingWith(base_, name, other), reading_) << name << " " << other;
  }
}

TEST_P(ConfigFieldsTest, WhatHasOneValueIsRefusedByNameWithAnother) {
  std::vector<std::string> names = {"position_embedding_type", "pruned_heads", "quantization_config"};
  for (const auto& [name, value] : Golden().at(GetParam()).items())
    if (UseOf(name) == FieldUse::kFixed) names.push_back(name);
  EXPECT_THAT(names, Contains("is_encoder_decoder"));
  for (const std::string& name : names) {
    const json only = json::parse(FindConfigField(FamilyOfModelType(GetParam()), name)->only);
    EXPECT_EQ(ReadingWith(base_, name, only), reading_) << name;
    EXPECT_EQ(ReadingWith(base_, name, nullptr), reading_) << name;
    for (const json& other : {json(true), json(1), json("relative_key"), json{{"0", {1, 2}}}})
      EXPECT_THAT(ReadingWith(base_, name, other),
                  HasSubstr("refused: config.json: '" + name + "' is not supported"))
          << other;
  }
}

// Of each field that is read, a value that must make a difference: another model, or a refusal.
const std::map<std::string, json> kOthers = {
    {"model_type", "xlnet"},
    {"architectures", {"BertForTokenClassification"}},
    {"id2label", {{"0", "no"}, {"1", "yes"}}},
    {"label2id", {{"no", 0}, {"yes", 1}}},
    {"num_labels", 3},
    {"problem_type", "regression"},
    {"vocab_size", 60},
    {"max_position_embeddings", 40},
    {"type_vocab_size", 3},
    {"hidden_size", 24},
    {"num_hidden_layers", 3},
    {"num_attention_heads", 1},
    {"intermediate_size", 20},
    {"hidden_act", "gelu_new"},
    {"layer_norm_eps", 1e-3},
    {"pad_token_id", 3},
    {"dim", 24},
    {"n_layers", 3},
    {"n_heads", 1},
    {"hidden_dim", 20},
    {"activation", "relu"},
    {"embedding_size", 4},
    {"trigram_input", false},
    {"use_bottleneck", false},
    {"intra_bottleneck_size", 4},
    {"use_bottleneck_attention", true},
    {"key_query_shared_bottleneck", false},
    {"num_feedforward_networks", 2},
    {"normalization_type", "layer_norm"},
    {"classifier_activation", false},
    {"conv_kernel_size", 5},
    {"num_groups", 2},
};

TEST_P(ConfigFieldsTest, WhatIsReadMatters) {
  for (const auto& [name, value] : Golden().at(GetParam()).items()) {
    if (UseOf(name) != FieldUse::kRead) continue;
    ASSERT_TRUE(kOthers.contains(name)) << name;
    EXPECT_NE(ReadingWith(base_, name, kOthers.at(name)), reading_) << name;
    if (name == "label2id") continue;  // of which junk is a label
    EXPECT_THAT(ReadingWith(base_, name, json{{"junk", 1}}),
                AllOf(HasSubstr("refused"), HasSubstr("'" + name + "'")));
  }
}

TEST_P(ConfigFieldsTest, NamesAreSorted) {
  json config = base_;
  config.update(json{{"future_field", 1}, {"torch_dtype", "float32"}, {"is_decoder", false}});
  const ConfigNames names = HubConfig("config.json", config.dump()).Names();
  EXPECT_THAT(names.unknown, ElementsAre("future_field"));
  EXPECT_THAT(names.no_effect, ElementsAre("torch_dtype"));
  EXPECT_THAT(names.read, AllOf(Contains("is_decoder"), Contains("model_type"), Contains("vocab_size")));
  EXPECT_EQ(names.read.size() + 2, config.size());
}

INSTANTIATE_TEST_SUITE_P(All, ConfigFieldsTest, ::testing::ValuesIn(kFamilies),
                         [](const auto& info) { return info.param; });

TEST(HubConfigTest, DistilBertsOtherNames) {
  json config = Small("distilbert");
  const std::string reading = Reading(config);
  for (const auto& [name, other] : {std::pair{"dim", "hidden_size"},
                                    {"n_layers", "num_hidden_layers"},
                                    {"n_heads", "num_attention_heads"}}) {
    config[other] = config[name];
    EXPECT_EQ(Reading(config), reading) << "both, and the same";
    config.erase(name);
    EXPECT_EQ(Reading(config), reading) << other << " alone";
  }
  config["dim"] = 24;
  EXPECT_THAT(Reading(config),
              HasSubstr("'dim' and 'hidden_size' are two names of one number; got 24 and 8"));
}

TEST(HubConfigTest, ProblemTypes) {
  const auto problem = [](const json& value) {
    json config = Small("bert");
    config["problem_type"] = value;
    return HubConfig("config.json", config.dump()).Problem();
  };
  EXPECT_EQ(problem(nullptr), ProblemType::kUnstated);
  EXPECT_EQ(problem("regression"), ProblemType::kRegression);
  EXPECT_EQ(problem("single_label_classification"), ProblemType::kSingleLabel);
  EXPECT_EQ(problem("multi_label_classification"), ProblemType::kMultiLabel);
  EXPECT_THAT(
      ReadingWith(Small("bert"), "problem_type", "multilabel"),
      AllOf(HasSubstr("unknown 'problem_type'; got 'multilabel'"), HasSubstr("multi_label_classification")));
}

TEST(HubConfigTest, AStudentOfOurs) {
  const json config = {
      {"model_type", "thimble"}, {"blocks", json::array()}, {"hidden_size", 8}, {"null_threshold", 1.5}};
  const ConfigNames names = HubConfig("config.json", config.dump()).Names();
  EXPECT_THAT(names.read, ElementsAre("model_type", "null_threshold"));
  EXPECT_THAT(names.no_effect, ElementsAre("blocks", "hidden_size"));
  EXPECT_THAT(names.unknown, IsEmpty());
}

}  // namespace
}  // namespace thimble::models
