#include "models/hub/pretrained.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/hub/safetensors.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

const char kBert[] =
    "vocabulary: 50 positions: 20 hidden: 12 heads: 3 ffn_hidden: 30 layer_norm_epsilon: 1e-7 embedding { "
    "plain {} }";
const std::vector<std::string> kLabels = {"no", "yes", "perhaps"};

std::string BertText(const std::string& activation) {
  const std::string layer = LayerText("linear(" + activation + "(linear(x,wb1)),wb2)");
  return kBert + layer + layer;
}

std::string FreshDirectory(const std::string& name) {
  const std::string path = ::testing::TempDir() + "/thimble_pretrained_" + name;
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

// A saved BERT to spoil.
class SpoiltTest : public ::testing::Test {
 protected:
  SpoiltTest() : directory_(FreshDirectory("spoilt")), model_(ShakenModel(BertText("gelu_erf"))) {
    SavePretrained(model_, kLabels, directory_);
    config_ = json::parse(ReadFile(directory_ + "/config.json"));
  }
  ~SpoiltTest() override { fs::remove_all(directory_); }

  Weights Tensors() { return ReadSafetensors(directory_ + "/model.safetensors").tensors; }
  void Write(const Weights& tensors) { WriteSafetensors(directory_ + "/model.safetensors", tensors); }

  std::string Failure() {
    WriteFileAtomically(directory_ + "/config.json", config_.dump());
    try {
      LoadPretrained(directory_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      EXPECT_THAT(error.what(), HasSubstr(directory_));
      return error.what();
    }
    return "no error";
  }

  std::string directory_;
  Model model_;
  json config_;
};

void ExpectSame(const Model& a, const Model& b) {
  const Batch batch = MakeBatch({4, 9, 20});
  EXPECT_TRUE(at::equal(Forward(a, batch).last_hidden_state, Forward(b, batch).last_hidden_state));
  if (a.classes > 0) {
    EXPECT_TRUE(at::equal(Forward(a, batch).logits, Forward(b, batch).logits));
  }
}

TEST(PretrainedTest, PlainBertRoundTrip) {
  for (const std::string activation : {"gelu_erf", "gelu", "relu"}) {
    for (const int classes : {3, 0}) {
      const std::string directory = FreshDirectory("plain");
      Model model = ShakenModel(BertText(activation), classes, 16);
      ASSERT_TRUE(IsPlainBert(model));
      SavePretrained(model, classes > 0 ? kLabels : std::vector<std::string>{}, directory);
      EXPECT_FALSE(fs::exists(directory + "/architecture.textproto"));
      EXPECT_FALSE(fs::exists(directory + "/modeling_thimble.py"));
      const Pretrained read = LoadPretrained(directory);
      ExpectSame(model, read.model);
      EXPECT_EQ(read.model.classes, classes);
      EXPECT_EQ(read.model.teacher_hidden, 0);
      EXPECT_EQ(read.label_names, classes > 0 ? kLabels : std::vector<std::string>{});
      EXPECT_EQ(read.directory, directory);
      EXPECT_TRUE(read.unused.empty() && read.initialised.empty());
      const Weights tensors = ReadSafetensors(directory + "/model.safetensors").tensors;
      EXPECT_TRUE(tensors.Has(classes > 0 ? "bert.encoder.layer.1.attention.output.LayerNorm.weight"
                                          : "encoder.layer.1.attention.output.LayerNorm.weight"));
      EXPECT_EQ(tensors.Has("classifier.weight"), classes > 0);
      fs::remove_all(directory);
    }
  }
}

void ExpectStudentRoundTrip(const std::string& embedding) {
  const std::string text = embedding + LayerText("max(x,linear(gelu(linear(x,wb1)),wb2))", 3, "1/2") +
                           LayerText("linear(relu(mul(linear(x,wb1),x)),wb2)", 1, "1/3");
  for (const int classes : {3, 0}) {
    const std::string directory = FreshDirectory("student");
    const Model model = ShakenModel(text, classes, 16);
    EXPECT_FALSE(IsPlainBert(model));
    SavePretrained(model, classes > 0 ? kLabels : std::vector<std::string>{}, directory);
    const Pretrained read = LoadPretrained(directory);
    ExpectSame(model, read.model);
    EXPECT_EQ(CanonicalArchitecture(read.model.architecture), CanonicalArchitecture(model.architecture));
    EXPECT_FALSE(read.model.weights.Has("fit_dense.weight"));
    EXPECT_EQ(read.label_names.size(), static_cast<size_t>(classes));
    EXPECT_EQ(json::parse(ReadFile(directory + "/config.json"))["model_type"], "thimble");
    EXPECT_THAT(ReadFile(directory + "/modeling_thimble.py"), HasSubstr("class ThimbleModel"));
    fs::remove_all(directory);
  }
}

TEST(PretrainedTest, StudentRoundTrip) {
  for (const char* head : {kTrigram, kFactorised, kShared, kNarrow}) ExpectStudentRoundTrip(head);
}

TEST(PretrainedTest, SpanHeadRoundTrip) {
  const std::string student = std::string(kTrigram) + LayerText("linear(relu(linear(x,wb1)),wb2)", 2, "1/2");
  for (const std::string& text : {BertText("gelu_erf"), student}) {
    const std::string directory = FreshDirectory("spans");
    Model model = MakeModel(Architecture(text), 2, 16, Random(3), TaskHead::kTokens);
    Shake(&model, 3);
    EXPECT_FALSE(model.weights.Has("pooler.weight"));
    const bool bert = IsPlainBert(model);
    EXPECT_EQ(bert, text != student);
    SavePretrained(model, {"start", "end"}, directory, {.null_threshold = -1.25});
    const Pretrained read = LoadPretrained(directory);
    ExpectSame(model, read.model);
    EXPECT_EQ(Forward(read.model, MakeBatch({4, 9})).logits.sizes(), at::IntArrayRef({2, 9, 2}));
    EXPECT_EQ(read.model.head, TaskHead::kTokens);
    EXPECT_THAT(read.label_names, ElementsAre("start", "end"));
    EXPECT_EQ(read.settings.null_threshold, -1.25);
    EXPECT_TRUE(read.unused.empty());
    const json config = json::parse(ReadFile(directory + "/config.json"));
    EXPECT_EQ(config["architectures"][0], bert ? "BertForQuestionAnswering" : "ThimbleForQuestionAnswering");
    EXPECT_FALSE(config.contains("problem_type"));
    EXPECT_EQ(ReadSafetensors(directory + "/model.safetensors").tensors.Has("qa_outputs.weight"), bert);
    proto::SpanReading reading;
    reading.set_document_stride(7);
    SavePretrained(model, {"start", "end"}, directory, {.max_length = 12, .reading = reading});
    const auto settings = LoadPretrained(directory).settings;
    EXPECT_EQ(settings.max_length, 12);
    ASSERT_TRUE(settings.reading.has_value());
    EXPECT_EQ(settings.reading->document_stride(), 7);
    EXPECT_EQ(settings.reading->n_best(), 20);
    SavePretrained(model, {"start", "end"}, directory);
    EXPECT_FALSE(LoadPretrained(directory).settings.max_length.has_value());
    EXPECT_FALSE(LoadPretrained(directory).settings.null_threshold.has_value());
    fs::remove_all(directory);
  }
}

// As transformers up to version 3 wrote them: a pooler that nothing reads, no names of outputs.
TEST_F(SpoiltTest, SpanHeadBesideAPoolerAndOfAnotherWidth) {
  Weights tensors;
  for (const auto& [name, tensor] : Tensors()) {
    if (name.find("classifier") == std::string::npos) tensors.Add(name, tensor);
  }
  const int64_t hidden = model_.shape.hidden;
  tensors.Add("qa_outputs.weight", at::ones({2, hidden}));
  tensors.Add("qa_outputs.bias", at::ones({2}));
  WriteSafetensors(directory_ + "/model.safetensors", tensors);
  config_.erase("id2label");
  WriteFileAtomically(directory_ + "/config.json", config_.dump());
  const Pretrained read = LoadPretrained(directory_);
  EXPECT_EQ(read.model.head, TaskHead::kTokens);
  EXPECT_THAT(read.unused, ElementsAre("bert.pooler.dense.bias", "bert.pooler.dense.weight"));
  EXPECT_THAT(read.label_names, ElementsAre("start", "end"));
  Weights wide;
  for (const auto& [name, tensor] : tensors)
    wide.Add(name, name.rfind("qa_outputs", 0) == 0 ? at::cat({tensor, tensor}) : tensor);
  WriteSafetensors(directory_ + "/model.safetensors", wide);
  EXPECT_THAT(Failure(), HasSubstr("another number of outputs; got 4; accepted: 2"));
}

TEST(PretrainedTest, SpanAndSentenceHeadsAreNotTakenForEachOther) {
  Pretrained model;
  model.directory = "models/x";
  model.model = ShakenModel(BertText("gelu_erf"), 2);
  const auto refusal = [&](TaskHead head) {
    try {
      RequireHead(model, 2, "squad", head);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal(TaskHead::kPooled), "");
  EXPECT_THAT(refusal(TaskHead::kTokens), HasSubstr("got a head of 2 classes; accepted: a head for spans"));
  AddHead(&model, 2, {"start", "end"}, Random(1), TaskHead::kTokens);
  EXPECT_EQ(refusal(TaskHead::kTokens), "");
  EXPECT_THAT(refusal(TaskHead::kPooled), HasSubstr("got a head for spans; accepted: a head of 2 classes"));
  EXPECT_FALSE(model.model.weights.Has("pooler.weight"));
  EXPECT_EQ(model.model.weights.at("head.weight").size(1), model.model.shape.hidden);
  AddHead(&model, 3, kLabels, Random(1));
  EXPECT_TRUE(model.model.weights.Has("pooler.weight"));
}

TEST(PretrainedTest, WhatIsAPlainBert) {
  const std::string erf = "linear(gelu_erf(linear(x,wb1)),wb2)";
  auto plain = [](const std::string& text) {
    return IsPlainBert(MakeModel(Architecture(text), 0, 0, Random(1)));
  };
  EXPECT_TRUE(plain(kPlain + LayerText(erf, 1, "1/2") + LayerText(erf, 1, "1/2")));
  EXPECT_FALSE(plain(kPlain + LayerText(erf, 1, "1/2") + LayerText(erf)));
  EXPECT_FALSE(plain(kPlain + LayerText(erf, 2)));
  EXPECT_FALSE(plain(kPlain + LayerText(erf) + LayerText(kGeluBlock)));
  EXPECT_FALSE(plain(kPlain + LayerText("linear(swish(linear(x,wb1)),wb2)")));
  EXPECT_FALSE(plain(kTrigram + LayerText(erf)));
  EXPECT_FALSE(plain(kFactorised + LayerText(erf)));
  EXPECT_FALSE(plain(kPlain + std::string(" pooler: 7") + LayerText(erf)));
  EXPECT_FALSE(plain(kPlain + std::string(" norm: NO_NORM") + LayerText(erf)));
  EXPECT_FALSE(plain(kPlain + std::string(" bottleneck { width: 6 }") + LayerText(erf)));
}

TEST_F(SpoiltTest, OldNamesPrefixAndLeftOvers) {
  Weights old;
  for (const auto& [name, tensor] : Tensors()) {
    std::string renamed = name.rfind("bert.", 0) == 0 ? name.substr(5) : name;
    const size_t norm = renamed.find("LayerNorm.");
    if (norm != std::string::npos)
      renamed = renamed.substr(0, norm + 10) + (renamed.back() == 't' ? "gamma" : "beta");
    old.Add(renamed, tensor);
  }
  old.Add("embeddings.position_ids", at::arange(20).unsqueeze(0));
  old.Add("cls.predictions.bias", at::zeros({50}));
  Write(old);
  const Pretrained read = LoadPretrained(directory_);
  ExpectSame(model_, read.model);
  EXPECT_THAT(read.unused, ElementsAre("cls.predictions.bias"));
}

TEST_F(SpoiltTest, HalfPrecisionBecomesFloat) {
  Weights half;
  for (const auto& [name, tensor] : Tensors()) half.Add(name, tensor.to(at::kBFloat16));
  Write(half);
  const Pretrained read = LoadPretrained(directory_);
  const at::Tensor& tensor = read.model.weights.at("pooler.weight");
  EXPECT_EQ(tensor.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(tensor, model_.weights.at("pooler.weight").to(at::kBFloat16).to(at::kFloat)));
}

TEST_F(SpoiltTest, ClassifierWithoutPoolerIsNoHead) {
  Weights rest;
  for (const auto& [name, tensor] : Tensors()) {
    if (name.find("pooler") == std::string::npos) rest.Add(name, tensor);
  }
  Write(rest);
  const Pretrained read = LoadPretrained(directory_);
  EXPECT_EQ(read.model.classes, 0);
  EXPECT_FALSE(read.model.weights.Has("pooler.weight"));
  EXPECT_THAT(read.unused, ElementsAre("classifier.bias", "classifier.weight"));
}

TEST_F(SpoiltTest, MissingTwiceAndMisshapenWeights) {
  Weights rest;
  for (const auto& [name, tensor] : Tensors()) {
    if (name != "bert.encoder.layer.1.output.dense.bias") rest.Add(name, tensor);
  }
  Write(rest);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("lacks"), HasSubstr("encoder.layer.1.output.dense.bias")));
  rest.Add("bert.encoder.layer.1.output.dense.bias", at::zeros({13}));
  Write(rest);
  EXPECT_THAT(Failure(),
              AllOf(HasSubstr("disagrees with config.json"), HasSubstr("[13]"), HasSubstr("[12]")));
  rest.at("bert.encoder.layer.1.output.dense.bias") = at::zeros({12}, at::kLong);
  Write(rest);
  EXPECT_THAT(Failure(), HasSubstr("no floating-point numbers"));
  rest.at("bert.encoder.layer.1.output.dense.bias") = at::zeros({12});
  rest.Add("pooler.dense.bias", at::zeros({12}));
  Write(rest);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("twice"), HasSubstr("bert.pooler.dense.bias")));
}

TEST_F(SpoiltTest, Config) {
  const json good = config_;
  auto failure = [&](const std::string& key, const json& value) {
    config_ = good;
    config_[key] = value;
    return Failure();
  };
  EXPECT_THAT(failure("model_type", "xlnet"),
              AllOf(HasSubstr("'xlnet'"),
                    HasSubstr("bert, distilbert, roberta, mobilebert, electra, convbert, thimble")));
  EXPECT_THAT(failure("hidden_act", "mish"), AllOf(HasSubstr("'mish'"), HasSubstr("gelu, gelu_new")));
  EXPECT_THAT(failure("position_embedding_type", "relative_key"), HasSubstr("absolute"));
  EXPECT_THAT(failure("is_decoder", true), HasSubstr("is_decoder"));
  EXPECT_THAT(failure("num_attention_heads", 5), HasSubstr("divide"));
  EXPECT_THAT(failure("num_hidden_layers", 1), "no error") << "deeper files can be cut";
  EXPECT_THAT(failure("num_hidden_layers", 3), HasSubstr("encoder.layer.2"));
  EXPECT_THAT(failure("layer_norm_eps", "small"), HasSubstr("not a number"));
  EXPECT_THAT(failure("layer_norm_eps", -1), HasSubstr("layer_norm_epsilon"));
  EXPECT_THAT(failure("id2label", json{{"0", "a"}, {"1", "b"}}), HasSubstr("3 names"));
  EXPECT_THAT(failure("id2label", json{{"0", "a"}, {"1", "b"}, {"3", "c"}}), HasSubstr("class 2"));
  for (const json& value :
       {json(-12), json(0), json(12.5), json("12"), json(1e300), json(nullptr), json(4000000000u)}) {
    EXPECT_THAT(failure("hidden_size", value), HasSubstr("'hidden_size'")) << value;
  }
  config_ = good;
  config_.erase("hidden_size");
  EXPECT_THAT(Failure(), HasSubstr("'hidden_size' is missing"));
  config_ = json::array();
  EXPECT_THAT(Failure(), HasSubstr("not a JSON object"));
}

TEST_F(SpoiltTest, LabelsLeftOutAreNumbered) {
  config_.erase("id2label");
  EXPECT_EQ(Failure(), "no error");
  EXPECT_THAT(LoadPretrained(directory_).label_names, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
}

TEST_F(SpoiltTest, LabelsByNameAndBySettings) {
  EXPECT_THAT(LoadPretrained(directory_).label_ids,
              ElementsAre(Pair("no", 0), Pair("perhaps", 2), Pair("yes", 1)));
  config_["label2id"] = {{"a", 2}, {"b", "1"}, {"c", -3}, {"f", "1x"}, {"d", 1e300}, {"e", nullptr}};
  EXPECT_EQ(Failure(), "no error");
  EXPECT_THAT(LoadPretrained(directory_).label_ids, ElementsAre(Pair("a", 2), Pair("b", 1), Pair("c", -1),
                                                                Pair("d", -1), Pair("e", -1), Pair("f", -1)));
  config_["label2id"] = nullptr;
  EXPECT_EQ(Failure(), "no error");
  EXPECT_TRUE(LoadPretrained(directory_).label_ids.empty());
}

// Of the settings that a model of sentences has, those of spans are none.
TEST_F(SpoiltTest, Settings) {
  for (const char* key :
       {"max_seq_length", "doc_stride", "max_query_length", "n_best_size", "max_answer_length"}) {
    for (const json& value : {json(0), json(-3), json(2.5), json("12"), json(1e300)}) {
      const json good = config_;
      config_[key] = value;
      EXPECT_THAT(Failure(),
                  HasSubstr(std::string(key) == "max_seq_length" || !value.is_number() ? key : "config.json"))
          << key << value;
      config_ = good;
    }
  }
  config_["max_seq_length"] = 12;
  config_["doc_stride"] = 7;
  config_["null_threshold"] = 2.5;
  EXPECT_EQ(Failure(), "no error");
  const auto settings = LoadPretrained(directory_).settings;
  EXPECT_EQ(settings.max_length, 12);
  EXPECT_FALSE(settings.null_threshold || settings.reading || settings.model_max_length);
}

TEST_F(SpoiltTest, LengthsOfRows) {
  const auto length = [&](const json& own, const std::string& tokenizer) {
    config_.erase("max_seq_length");
    if (!own.is_null()) config_["max_seq_length"] = own;
    EXPECT_EQ(Failure(), "no error");
    fs::remove(directory_ + "/tokenizer_config.json");
    if (!tokenizer.empty()) WriteFileAtomically(directory_ + "/tokenizer_config.json", tokenizer);
    return ReadLength(LoadPretrained(directory_));
  };
  EXPECT_EQ(length(nullptr, ""), 20);  // its positions
  EXPECT_EQ(length(9, ""), 9);
  EXPECT_EQ(length(90, ""), 20);
  EXPECT_EQ(length(nullptr, R"({"model_max_length": 8})"), 8);
  EXPECT_EQ(length(9, R"({"model_max_length": 8})"), 9);
  EXPECT_EQ(length(nullptr, R"({"model_max_length": 512})"), 20);
  for (const char* none :
       {R"({"model_max_length": 1000000000000000019884624838656})", R"({"model_max_length": 0})",
        R"({"model_max_length": -8})", R"({"model_max_length": null})", R"({"model_max_length": "8"})", "{}",
        "[]", "{", ""})
    EXPECT_EQ(length(nullptr, none), 20) << none;
}

TEST(PretrainedTest, HeadInAnotherOrder) {
  Model model = ShakenModel(BertText("gelu_erf"));
  Shake(&model, 4);
  const Model shared = model;  // of the same tensors
  const auto before = Forward(model, MakeBatch({4, 9})).logits;
  ReorderHead({2, 0, 1}, &model);
  const auto after = Forward(model, MakeBatch({4, 9})).logits;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(after.select(1, i), before.select(1, (i + 2) % 3)));
  EXPECT_TRUE(at::equal(Forward(shared, MakeBatch({4, 9})).logits, before));
}

TEST_F(SpoiltTest, MissingFiles) {
  fs::remove(directory_ + "/model.safetensors");
  EXPECT_THAT(Failure(), HasSubstr("save_pretrained"));
  EXPECT_THROW(LoadPretrained(directory_ + "/absent"), Error);
}

TEST(PretrainedTest, RequireAndAddHead) {
  Pretrained teacher;
  teacher.directory = "models/teacher";
  teacher.model = ShakenModel(BertText("gelu_erf"), 0);
  try {
    RequireHead(teacher, 2, "mrpc");
    FAIL() << "there is no head";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("thimble finetune models/teacher --task mrpc"));
  }
  const at::Tensor query = teacher.model.weights.at("layer.0.attention.query.weight");
  AddHead(&teacher, 3, kLabels, Random(4));
  EXPECT_NO_THROW(RequireHead(teacher, 3, "mrpc"));
  EXPECT_THROW(RequireHead(teacher, 2, "mrpc"), Error);
  EXPECT_THAT(teacher.initialised, ElementsAre("pooler.weight", "pooler.bias", "head.weight", "head.bias"));
  EXPECT_TRUE(at::equal(teacher.model.weights.at("layer.0.attention.query.weight"), query));
  EXPECT_EQ(Forward(teacher.model, MakeBatch({5, 6})).logits.sizes(), at::IntArrayRef({2, 3}));
  // A second head replaces the first one and leaves the pooler.
  const at::Tensor pooler = teacher.model.weights.at("pooler.weight");
  teacher.initialised.clear();
  AddHead(&teacher, 2, {"a", "b"}, Random(5));
  EXPECT_THAT(teacher.initialised, ElementsAre("head.weight", "head.bias"));
  EXPECT_TRUE(at::equal(teacher.model.weights.at("pooler.weight"), pooler));
  EXPECT_EQ(teacher.model.weights.at("head.weight").size(0), 2);
  EXPECT_EQ(teacher.label_names.size(), 2u);
}

// A headless student of a phase on text gets its head for the task's phase, which goes on with its
// projections.
TEST(PretrainedTest, AHeadLeavesTheProjections) {
  Pretrained student;
  student.model = ShakenModel(BertText("gelu_erf"), 0, 20);
  AddOwnProjections(&student.model, {0, 2});
  const Weights before = student.model.weights;
  AddHead(&student, 3, kLabels, Random(4));
  for (const std::string name :
       {"fit_dense.weight", "fit_dense.0.weight", "fit_dense.2.weight", "fit_dense.2.bias"})
    EXPECT_TRUE(at::equal(student.model.weights.at(name), before.at(name))) << name;
  EXPECT_THAT(student.initialised, ElementsAre("pooler.weight", "pooler.bias", "head.weight", "head.bias"));
}

TEST(PretrainedTest, CopiesTheTokenizerFilesThatAreThere) {
  const std::string from = FreshDirectory("from"), to = FreshDirectory("to");
  WriteFileAtomically(from + "/vocab.txt", "[PAD]\n");
  WriteFileAtomically(from + "/README.md", "not a tokenizer");
  CopyTokenizer(from, to);
  EXPECT_EQ(ReadFile(to + "/vocab.txt"), "[PAD]\n");
  EXPECT_FALSE(fs::exists(to + "/README.md"));
  EXPECT_FALSE(fs::exists(to + "/tokenizer.json"));
}

// Models for transformers_check.py: what transformers must compute from our directories.
TEST(PretrainedTest, LeavesCasesForTransformers) {
  const std::string root = THIMBLE_PRETRAINED_CASES;
  fs::remove_all(root);
  std::vector<std::pair<std::string, std::string>> cases;
  for (const std::string activation : {"gelu_erf", "gelu", "relu"})
    cases.emplace_back(activation, BertText(activation));
  const std::string cut = LayerText("max(x,linear(gelu(linear(x,wb1)),wb2))", 3, "1/2") +
                          LayerText("linear(relu(mul(linear(x,wb1),x)),wb2)", 1, "1/3") +
                          LayerText("add(sigmoid(linear(elu(linear(x,wb1)),wb2)),leaky_relu(x))", 2) +
                          LayerText("linear(mul(swish(linear(x,wb1)),tanh(x)),wb2)", 1, "1/2") +
                          LayerText("linear(gelu_erf(linear(x,wb1)),wb2)");
  cases.emplace_back("trigram", std::string(kTrigram) + " pooler: 7" + cut);
  cases.emplace_back("factorised", kFactorised + cut);
  cases.emplace_back("stacked", kPlain + cut);
  cases.emplace_back("shared_bottleneck", kShared + LayerText("linear(relu(linear(x,wb1)),wb2)", 2));
  cases.emplace_back("narrow_bottleneck", kNarrow + cut);
  cases.emplace_back("spans_bert", BertText("gelu_erf"));
  cases.emplace_back("spans_trigram", kTrigram + cut);
  for (const auto& [name, text] : cases) {
    const std::string directory = root + "/" + name;
    fs::create_directories(directory);
    const bool spans = name.rfind("spans", 0) == 0;
    Model model =
        spans ? MakeModel(Architecture(text), 2, 0, Random(7), TaskHead::kTokens) : ShakenModel(text);
    if (spans) Shake(&model, 7);
    SavePretrained(model, spans ? std::vector<std::string>{"start", "end"} : kLabels, directory);
    const Batch batch = MakeBatch({4, 9, 20});
    Weights expected;
    expected.Add("input_ids", batch.ids);
    expected.Add("token_type_ids", batch.segments);
    expected.Add("attention_mask", batch.mask.to(at::kLong));
    expected.Add("logits", Forward(model, batch).logits);
    expected.Add("last", Forward(model, batch).last_hidden_state * batch.mask.unsqueeze(-1));
    WriteSafetensors(directory + "/expected.safetensors", expected);
  }
}

}  // namespace
}  // namespace thimble::models
