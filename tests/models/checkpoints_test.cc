// Models that transformers and PyTorch wrote, in every format and family. Expected numbers and files:
// tests/golden/checkpoints.py.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/hub/pretrained.h"
#include "models/hub/weight_files.h"
#include "models/mlm_head.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kRoot = THIMBLE_SOURCE_DIR "/tests/golden/checkpoints/";
constexpr double kTolerance = 1e-5;

at::Tensor Tensor(const json& values, at::IntArrayRef sizes) {
  return at::tensor(values.get<std::vector<double>>(), at::kDouble).view(sizes);
}

Batch BatchOf(const json& expected) {
  const auto lengths = expected["lengths"].get<std::vector<int>>();
  Batch batch = MakeBatch(lengths);
  for (size_t row = 0; row < lengths.size(); ++row) {
    for (int64_t i = 0; i < batch.ids.size(1); ++i) {
      batch.ids[row][i] = expected["ids"][row][i].get<int64_t>();
      batch.segments[row][i] = expected["segments"][row][i].get<int64_t>();
    }
  }
  return batch;
}

class CheckpointTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CheckpointTest, ComputesWhatTransformersDoes) {
  const std::string directory = kRoot + GetParam();
  const json expected = json::parse(ReadFile(directory + "/expected.json"));
  const Pretrained read = LoadPretrained(directory);
  EXPECT_THAT(read.unused, ::testing::ElementsAreArray(expected["unused"].get<std::vector<std::string>>()));
  EXPECT_THAT(read.initialised, IsEmpty());
  const Batch batch = BatchOf(expected);
  const at::NoGradGuard no_grad;
  const Outputs outputs = Forward(read.model, batch);
  const at::Tensor real = batch.mask.unsqueeze(-1);  // padding is anything
  const at::Tensor last = Tensor(expected["last"], outputs.last_hidden_state.sizes());
  EXPECT_GT((last * real).abs().max().item<double>(), 1);
  EXPECT_LT(Difference(outputs.last_hidden_state * real, last * real), kTolerance);
  EXPECT_EQ(read.model.classes > 0, !expected["logits"].is_null());
  if (read.model.classes == 0) return;
  const bool spans = read.model.head == TaskHead::kTokens;
  const at::Tensor logits = Tensor(expected["logits"], outputs.logits.sizes());
  EXPECT_LT(Difference(spans ? outputs.logits * real : outputs.logits, spans ? logits * real : logits),
            kTolerance);
}

TEST(MlmHeadTest, ComputesWhatTransformersDoes) {
  const std::string directory = kRoot + "bert_bin_shards";
  const json expected = json::parse(ReadFile(directory + "/expected.json"));
  const Pretrained read = LoadPretrained(directory);
  EXPECT_EQ(read.model.classes, 0);  // it is no head of a task
  const auto head = ReadMlmHead(directory, read.model);
  ASSERT_TRUE(head.has_value());
  const Model model = WithMlmHead(read.model, &*head, Random(1));
  Batch batch = BatchOf(expected);
  EXPECT_FALSE(Forward(model, batch).logits.defined());  // nothing is to be found
  batch.labels = at::full(batch.ids.sizes(), -1, at::kLong);
  for (const auto& [row, place] : {std::pair{0, 1}, {1, 0}, {1, 8}, {2, 5}}) batch.labels[row][place] = 3;
  const at::NoGradGuard no_grad;
  const at::Tensor got = Forward(model, batch).logits;
  const at::Tensor all = Tensor(expected["words"], {3, 9, read.model.shape.vocabulary});
  const at::Tensor wanted = at::stack({all[0][1], all[1][0], all[1][8], all[2][5]});
  ASSERT_EQ(got.sizes(), wanted.sizes());
  EXPECT_GT(wanted.abs().max().item<double>(), 1);
  EXPECT_LT(Difference(got, wanted), kTolerance);
}

TEST(MlmHeadTest, IsNewWhereThereIsNoneAndSharesTheEncoder) {
  const Pretrained read = LoadPretrained(kRoot + "bert_bin");
  EXPECT_FALSE(ReadMlmHead(kRoot + "bert_bin", read.model).has_value());
  const Model model = WithMlmHead(read.model, nullptr, Random(1));
  EXPECT_EQ(model.head, TaskHead::kMaskedTokens);
  EXPECT_EQ(model.classes, read.model.shape.vocabulary);
  EXPECT_FALSE(model.weights.Has("pooler.weight"));
  EXPECT_TRUE(model.weights.at("layer.0.attention.query.weight")
                  .is_same(read.model.weights.at("layer.0.attention.query.weight")));
  EXPECT_EQ(model.weights.at("head.bias").abs().max().item<double>(), 0);
  EXPECT_EQ(model.weights.at("head.norm.weight").min().item<double>(), 1);
  EXPECT_GT(model.weights.at("head.transform.weight").std().item<double>(), 0.01);
}

INSTANTIATE_TEST_SUITE_P(All, CheckpointTest,
                         ::testing::Values("bert_shards", "bert_bin", "bert_bin_shards", "bert_odd_bin",
                                           "bert_half_bin", "distilbert", "distilbert_spans_bin", "roberta",
                                           "roberta_masked_bin", "mobilebert", "mobilebert_tiny_bin",
                                           "mobilebert_unpooled", "electra", "electra_spans_bin", "convbert",
                                           "convbert_masked_bin"),
                         [](const auto& info) { return std::string(info.param); });

TEST(CheckpointsTest, EveryDirectoryIsTested) {
  size_t directories = 0;
  for (const auto& entry : fs::directory_iterator(kRoot)) directories += entry.is_directory();
  EXPECT_EQ(directories, 16u);
}

TEST(CheckpointsTest, ReportsWhatWasLoaded) {
  const Pretrained shards = LoadPretrained(kRoot + "bert_shards");
  EXPECT_EQ(shards.model_type, "bert");
  EXPECT_EQ(shards.format, "safetensors");
  EXPECT_THAT(shards.files,
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  EXPECT_EQ(shards.loaded, static_cast<int>(shards.model.weights.size()));
  EXPECT_THAT(shards.label_names, ElementsAre("no", "yes", "perhaps"));
  EXPECT_THAT(shards.notes, IsEmpty());
  const Pretrained masked = LoadPretrained(kRoot + "bert_bin_shards");
  EXPECT_EQ(masked.format, "pickle");
  EXPECT_EQ(masked.files.size(), 2u);
  EXPECT_THAT(masked.unused, ::testing::Contains("cls.predictions.decoder.weight"));
}

TEST(CheckpointsTest, DistilBertBecomesABert) {
  const Pretrained read = LoadPretrained(kRoot + "distilbert");
  EXPECT_EQ(read.model.classes, 0);
  EXPECT_EQ(read.model.shape.segments, 2);
  EXPECT_EQ(read.model.weights.at("embedding.segment").abs().sum().item<double>(), 0);
  EXPECT_EQ(read.loaded + 1, static_cast<int>(read.model.weights.size()));
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("pre_classifier, ReLU"), HasSubstr("no token types")));
  EXPECT_TRUE(IsPlainBert(read.model));
  // The second sentence of a pair has type 1: it must not matter.
  Batch batch = MakeBatch({5, 9}, 1, 0, 24);
  const at::Tensor last = Forward(read.model, batch).last_hidden_state;
  batch.segments = at::zeros_like(batch.segments);
  EXPECT_TRUE(at::equal(Forward(read.model, batch).last_hidden_state, last));
}

TEST(CheckpointsTest, RobertaHasItsOwnPositionsAndHead) {
  const Pretrained read = LoadPretrained(kRoot + "roberta");
  EXPECT_EQ(read.model.shape.positions, 12);
  EXPECT_EQ(read.model.weights.at("embedding.position").size(0), 12);
  EXPECT_EQ(read.model.classes, 3);
  EXPECT_EQ(read.model.shape.segments, 2);
  const at::Tensor& segments = read.model.weights.at("embedding.segment");
  EXPECT_TRUE(at::equal(segments[0], segments[1]));
  EXPECT_THAT(read.label_names, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
}

TEST(CheckpointsTest, MobileBertsBlocks) {
  const Pretrained read = LoadPretrained(kRoot + "mobilebert");
  const ResolvedArchitecture& shape = read.model.shape;
  EXPECT_EQ(shape.bottleneck, 6);
  EXPECT_EQ(shape.embedding.trigram().width(), 5);
  EXPECT_EQ(shape.layers[0].stacks, 3);
  EXPECT_TRUE(shape.share_query_key && shape.no_norm);
  EXPECT_EQ(read.model.weights.at("layer.1.attention.value.weight").sizes(), at::IntArrayRef({6, 8}));
  EXPECT_THAT(read.notes, IsEmpty());
  const Pretrained tiny = LoadPretrained(kRoot + "mobilebert_tiny_bin");
  EXPECT_FALSE(tiny.model.shape.share_query_key || tiny.model.shape.no_norm);
  EXPECT_EQ(tiny.model.shape.embedding.factorised().width(), 5);
  const Pretrained unpooled = LoadPretrained(kRoot + "mobilebert_unpooled");
  EXPECT_EQ(unpooled.model.classes, 0);
  EXPECT_EQ(unpooled.model.shape.bottleneck, 0);
  EXPECT_THAT(unpooled.notes, ElementsAre(HasSubstr("without a pooler")));
}

// A copy of a checkpoint to spoil.
class SpoiltCheckpointTest : public ::testing::Test {
 protected:
  ~SpoiltCheckpointTest() override { fs::remove_all(directory_); }
  void CopyOf(const std::string& name) {
    directory_ = ::testing::TempDir() + "/thimble_checkpoint";
    fs::remove_all(directory_);
    fs::copy(kRoot + name, directory_);
  }
  std::string Failure() const {
    try {
      LoadPretrained(directory_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      return error.what();
    }
    return "no error";
  }
  void Change(const std::string& file, const std::function<void(json&)>& change) const {
    json content = json::parse(ReadFile(directory_ + "/" + file));
    change(content);
    WriteFileAtomically(directory_ + "/" + file, content.dump());
  }

  std::string directory_;
};

TEST_F(SpoiltCheckpointTest, SafetensorsGoFirst) {
  CopyOf("bert_shards");
  WriteFileAtomically(directory_ + "/pytorch_model.bin", "not read");
  EXPECT_EQ(LoadPretrained(directory_).format, "safetensors");
}

TEST_F(SpoiltCheckpointTest, EveryMissingWeightIsNamed) {
  CopyOf("distilbert_spans_bin");
  Change("config.json", [](json& config) { config["n_layers"] = 3; });
  const std::string failure = Failure();
  EXPECT_THAT(failure, HasSubstr("lacks 16 of the 54 weights"));
  for (const char* part :
       {"attention.q_lin.weight", "attention.k_lin.bias", "attention.v_lin.weight", "attention.out_lin.bias",
        "sa_layer_norm.weight", "ffn.lin1.bias", "ffn.lin2.weight", "output_layer_norm.bias"})
    EXPECT_THAT(failure, HasSubstr(std::string("transformer.layer.2.") + part));
}

TEST_F(SpoiltCheckpointTest, MobileBertsThatAreNotRead) {
  CopyOf("mobilebert");
  Change("config.json", [](json& config) { config["key_query_shared_bottleneck"] = false; });
  EXPECT_THAT(Failure(), HasSubstr("'key_query_shared_bottleneck' is not supported"));
  Change("config.json", [](json& config) {
    config["key_query_shared_bottleneck"] = true;
    config["normalization_type"] = "layer_norm";
  });
  EXPECT_THAT(Failure(), HasSubstr("'layer_norm_eps' is not that of all"));
  Change("config.json", [](json& config) { config["normalization_type"] = "batch_norm"; });
  EXPECT_THAT(Failure(), HasSubstr("no_norm, layer_norm"));
  Change("config.json", [](json& config) {
    config["normalization_type"] = "no_norm";
    config["num_attention_heads"] = 4;
  });
  EXPECT_THAT(Failure(), HasSubstr("the heads must divide the bottleneck width; got 4 heads, bottleneck 6"));
}

TEST_F(SpoiltCheckpointTest, Shards) {
  CopyOf("bert_shards");
  const std::string index = "model.safetensors.index.json";
  const std::string second = "model-00002-of-00002.safetensors";
  Change(index, [&](json& content) { content["weight_map"]["bert.extra"] = second; });
  EXPECT_THAT(Failure(), AllOf(HasSubstr("files lack"), HasSubstr("bert.extra (" + second + ")")));
  fs::remove(directory_ + "/" + second);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("a file that it names is missing"), HasSubstr(second)));
  fs::copy(directory_ + "/model-00001-of-00002.safetensors", directory_ + "/" + second);
  EXPECT_THAT(Failure(), HasSubstr("another file of the model holds it too"));
  Change(index, [&](json& content) { content["weight_map"]["bert.extra"] = "../" + second; });
  EXPECT_THAT(Failure(), HasSubstr("the name of a file in the same directory"));
}

TEST_F(SpoiltCheckpointTest, LabelsAsAList) {
  CopyOf("bert_bin");
  Change("config.json", [](json& config) { config["id2label"] = {"a", "b", "c"}; });
  EXPECT_THAT(LoadPretrained(directory_).label_names, ElementsAre("a", "b", "c"));
  Change("config.json", [](json& config) { config["id2label"] = {"a", "b"}; });
  EXPECT_THAT(Failure(), HasSubstr("3 names"));
  Change("config.json", [](json& config) { config["id2label"] = {"a", "b", 3}; });
  EXPECT_THAT(Failure(), HasSubstr("no name for class 2"));
}

TEST_F(SpoiltCheckpointTest, OldFormatTruncationAndDamage) {
  CopyOf("bert_bin");
  const std::string path = directory_ + "/pytorch_model.bin";
  const std::string good = ReadFile(path);
  WriteFileAtomically(path, ReadFile(kRoot + "before_1_6.bin"));
  EXPECT_THAT(Failure(), AllOf(HasSubstr("before PyTorch 1.6"), HasSubstr("weights_only=True")));
  for (const double part : {0.01, 0.1, 0.5, 0.9, 0.999}) {
    WriteFileAtomically(path, good.substr(0, static_cast<size_t>(part * good.size())));
    EXPECT_THAT(Failure(), HasSubstr("not a zip file, or a truncated one")) << part;
  }
  // A number of a weight.
  const at::Tensor weight = LoadPretrained(kRoot + "bert_bin").model.weights.at("layer.0.ffn.0.up.weight");
  const std::string bytes(static_cast<const char*>(weight.const_data_ptr()), 16);
  const size_t place = good.find(bytes);
  ASSERT_NE(place, std::string::npos);
  std::string damaged = good;
  damaged[place] ^= 1;
  WriteFileAtomically(path, damaged);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("damaged"), HasSubstr("CRC")));
}

}  // namespace
}  // namespace thimble::models
