// Writes small random models as ONNX with the outputs that Forward gives for them; onnx_check.py compares
// ONNX Runtime's. What can be seen without a runtime is tested here.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/model.h"
#include "models/onnx/onnx.h"
#include "models/onnx/onnx_int8.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Case {
  std::string name;
  std::string embedding;            // of Embedding, as text
  std::vector<std::string> layers;  // FeedForward as text
  int classes = 0;
  TaskHead head = TaskHead::kPooled;
  std::string more = "";  // of Architecture, as text
};

// Expression, stacks, ratio.
std::string Ffn(const std::string& expression, int stacks = 1, const std::string& ratio = "1") {
  return "expression: '" + expression + "' stacks: " + std::to_string(stacks) + " ratio: '" + ratio + "'";
}

const char kPlain[] = "plain {}", kTrigram[] = "trigram { width: 5 }",
           kFactorised[] = "factorised { width: 5 }";
const char kBertFfn[] = "linear(gelu_erf(linear(x,wb1)),wb2)";

std::vector<Case> Cases() {
  std::vector<Case> cases = {
      {"bert", kPlain, {Ffn(kBertFfn), Ffn(kBertFfn), Ffn(kBertFfn)}, 3},
      {"bert_spans", kPlain, {Ffn(kBertFfn), Ffn(kBertFfn)}, 2, TaskHead::kTokens},
      {"trigram_spans", kTrigram, {Ffn("linear(gelu(linear(x,wb1)),wb2)", 2)}, 2, TaskHead::kTokens},
      {"bert_without_head", kPlain, {Ffn(kBertFfn), Ffn(kBertFfn)}, 0},
      {"trigram", kTrigram, {Ffn("linear(gelu(linear(x,wb1)),wb2)", 2), Ffn(kBertFfn, 3, "1/2")}, 2},
      {"trigram_without_head", kTrigram, {Ffn("linear(gelu(linear(x,wb1)),wb2)", 3)}, 0},
      {"factorised", kFactorised, {Ffn("linear(gelu(linear(x,wb1)),wb2)", 2), Ffn(kBertFfn)}, 2},
      {"cut_add", kPlain, {Ffn("linear(add(x,tanh(linear(x,wb1))),wb2)", 2, "1/2")}, 2},
      {"cut_mul", kTrigram, {Ffn("linear(mul(sigmoid(linear(x,wb1)),x),wb2)", 1, "1/2")}, 2},
      {"cut_max", kPlain, {Ffn("linear(max(linear(x,wb1),swish(x)),wb2)", 1, "1/3")}, 1},
      {"around",
       kPlain,
       {Ffn("add(mul(x,tanh(x)),linear(relu(linear(max(x,elu(x)),wb1)),wb2))", 2, "1/2")},
       2},
  };
  const std::string relu = "linear(relu(linear(x,wb1)),wb2)";
  cases.push_back({"shared_bottleneck",
                   kTrigram,
                   {Ffn(relu, 2), Ffn(relu, 1, "1/2")},
                   0,
                   TaskHead::kPooled,
                   "bottleneck { width: 6 share_query_key: true } norm: NO_NORM"});
  cases.push_back({"shared_bottleneck_pooled",
                   kTrigram,
                   {Ffn(relu, 2), Ffn(relu, 1, "1/2")},
                   3,
                   TaskHead::kPooled,
                   "bottleneck { width: 6 share_query_key: true } norm: NO_NORM"});
  cases.push_back({"narrow_bottleneck",
                   kPlain,
                   {Ffn(relu, 2), Ffn("linear(relu(mul(linear(x,wb1),x)),wb2)", 1, "1/2")},
                   2,
                   TaskHead::kPooled,
                   "bottleneck { width: 6 }"});
  for (const Operator op : Catalogue()) {
    const std::string name(OperatorName(op));
    cases.push_back({name,
                     kPlain,
                     {Ffn("linear(" + name + "(linear(x,wb1)" + (IsBinary(op) ? ",tanh(x)" : "") + "),wb2)")},
                     2});
  }
  return cases;
}

proto::Architecture MakeArchitecture(const Case& item) {
  std::string text =
      "vocabulary: 40 positions: 16 hidden: 12 heads: 3 pooler: 10 layer_norm_epsilon: 0.01 embedding { " +
      item.embedding + " } " + item.more;
  for (const std::string& ffn : item.layers)
    text += " layer { mixer { self_attention {} } ffn { " + ffn + " } }";
  proto::Architecture architecture;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &architecture)) << text;
  return architecture;
}

// Every weight away from its initial value: a bias or LayerNorm that the graph leaves out must show.
Model RandomModel(const Case& item, uint64_t seed = 7) {
  Random random(seed);
  Model model = MakeModel(MakeArchitecture(item), item.classes, 20, random, item.head);
  for (const auto& [name, tensor] : model.weights) {
    float* values = tensor.data_ptr<float>();
    const double deviation = tensor.dim() == 2 ? 1.5 / std::sqrt(tensor.size(1)) : 0.4;
    for (int64_t i = 0; i < tensor.numel(); ++i)
      values[i] = static_cast<float>(values[i] + deviation * random.Normal());
    // Without LayerNorm states would grow until attention looks at one token only, and eight bits decide
    // which.
    if (model.shape.no_norm && tensor.dim() == 1 && name.ends_with(".weight")) tensor.mul_(0.4);
  }
  return model;
}

// Rows of the given lengths, padded to the longest; padding carries a token id, which must not matter.
Batch RandomBatch(const std::vector<int64_t>& lengths, Random random) {
  const int64_t rows = static_cast<int64_t>(lengths.size()),
                longest = *std::max_element(lengths.begin(), lengths.end());
  Batch batch;
  batch.ids = at::empty({rows, longest}, at::kLong);
  batch.segments = at::empty({rows, longest}, at::kLong);
  batch.mask = at::zeros({rows, longest});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < longest; ++i) {
      batch.ids[row][i] = static_cast<int64_t>(random.Below(40));
      batch.segments[row][i] = static_cast<int64_t>(random.Below(2));
      if (i < lengths[row]) batch.mask[row][i] = 1;
    }
  }
  return batch;
}

template <typename T>
nlohmann::json ToJson(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {{"shape", flat.sizes().vec()},
          {"values", std::vector<T>(flat.data_ptr<T>(), flat.data_ptr<T>() + flat.numel())}};
}

nlohmann::json InputsAndOutput(const Model& model, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const Outputs outputs = Forward(model, batch);
  return {{"input_ids", ToJson<int64_t>(batch.ids)},
          {"token_type_ids", ToJson<int64_t>(batch.segments)},
          {"attention_mask", ToJson<int64_t>(batch.mask.to(at::kLong))},
          {"output", ToJson<float>(model.classes > 0 ? outputs.logits : outputs.last_hidden_state)}};
}

onnx::ModelProto Parse(const std::string& path) {
  onnx::ModelProto parsed;
  EXPECT_TRUE(parsed.ParseFromString(ReadFile(path))) << path;
  return parsed;
}

TEST(Onnx, WritesEveryCaseWithExpectedOutputs) {
  const std::string directory = THIMBLE_ONNX_CASES;
  fs::remove_all(directory);
  fs::create_directories(directory);
  for (const Case& item : Cases()) {
    SCOPED_TRACE(item.name);
    const Model model = RandomModel(item);
    WriteOnnx(model, directory + "/" + item.name + ".onnx");
    WriteOnnx(model, directory + "/" + item.name + ".int8.onnx",
              {.weights = OnnxWeights::kInt8, .typical = {RandomBatch({16}, Random(2))}});
    nlohmann::json expected;
    expected["layers"] = item.layers.size();
    expected["hidden"] = model.shape.hidden;
    expected["classes"] = item.classes;
    expected["tokens"] = item.head == TaskHead::kTokens;
    // Uneven rows; the longest sequence the position table allows; one single token.
    for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{7, 3, 5}, {16, 1}, {1}})
      expected["runs"].push_back(InputsAndOutput(model, RandomBatch(lengths, Random(lengths.size()))));
    WriteFileAtomically(directory + "/" + item.name + ".json", expected.dump());
  }
}

TEST(Onnx, HoldsTheModelsWeightsAndNoOthers) {
  const Case item{"", kTrigram, {Ffn(kBertFfn, 2, "1/2")}, 2};
  const Model model = RandomModel(item);
  const std::string path = testing::TempDir() + "/weights.onnx";
  WriteOnnx(model, path);

  const onnx::ModelProto parsed = Parse(path);
  std::set<std::string> read, written;
  for (const auto& node : parsed.graph().node()) read.insert(node.input().begin(), node.input().end());
  for (const auto& tensor : parsed.graph().initializer()) {
    EXPECT_TRUE(read.count(tensor.name())) << tensor.name() << " is not used";
    EXPECT_TRUE(written.insert(tensor.name()).second) << tensor.name() << " stands twice";
    if (!model.weights.Has(tensor.name())) {
      EXPECT_LT(tensor.ByteSizeLong(), 100u) << tensor.name();
      continue;
    }
    at::Tensor weight = model.weights.at(tensor.name());
    if (tensor.name().find(".weight") != std::string::npos && weight.dim() == 2)
      weight = weight.t().contiguous();
    EXPECT_EQ(std::vector<int64_t>(tensor.dims().begin(), tensor.dims().end()), weight.sizes().vec())
        << tensor.name();
    EXPECT_EQ(tensor.raw_data(), std::string(static_cast<const char*>(weight.data_ptr()), weight.nbytes()));
  }
  for (const auto& [name, tensor] : model.weights)
    EXPECT_EQ(written.count(name), name.rfind("fit_dense.", 0) == 0 ? 0u : 1u) << name;
}

// Of an initializer that holds its values as raw bytes; unsigned ones less their zero point.
at::Tensor ToTensor(const onnx::TensorProto& initializer) {
  const std::map<int, at::ScalarType> types = {{onnx::TensorProto::INT8, at::kChar},
                                               {onnx::TensorProto::UINT8, at::kByte},
                                               {onnx::TensorProto::FLOAT, at::kFloat}};
  const std::vector<int64_t> sizes(initializer.dims().begin(), initializer.dims().end());
  const at::Tensor tensor = at::empty(sizes, types.at(initializer.data_type()));
  EXPECT_EQ(initializer.raw_data().size(), tensor.nbytes()) << initializer.name();
  std::memcpy(tensor.data_ptr(), initializer.raw_data().data(), tensor.nbytes());
  return tensor.scalar_type() == at::kByte ? (tensor.to(at::kShort) - 128).to(at::kChar) : tensor;
}

TEST(Onnx, HoldsMatricesInEightBits) {
  const Case item{"", kTrigram, {Ffn(kBertFfn, 2, "1/2")}, 2};
  Model model = RandomModel(item);
  model.weights.at("layer.0.ffn.1.up.weight").select(0, 2).zero_();
  const std::string path = testing::TempDir() + "/int8.onnx";
  WriteOnnx(model, path, {.weights = OnnxWeights::kInt8});

  std::map<std::string, at::Tensor> held;
  const onnx::ModelProto parsed = Parse(path);
  for (const auto& tensor : parsed.graph().initializer())
    if (tensor.has_raw_data()) held[tensor.name()] = ToTensor(tensor);
  int in_eight_bits = 0;
  for (const auto& [name, weight] : model.weights) {
    if (name.rfind("fit_dense.", 0) == 0) continue;
    SCOPED_TRACE(name);
    ASSERT_TRUE(held.count(name));
    const bool table = name == "embedding.token";
    const bool linear = weight.dim() == 2 && name.find(".weight") != std::string::npos;
    if (name == "head.weight" || (!table && !linear)) {
      EXPECT_TRUE(held.at(name).equal(linear ? weight.t() : weight));
      continue;
    }
    ++in_eight_bits;
    ASSERT_EQ(held.at(name).scalar_type(), at::kChar);
    const at::Tensor values = table ? held.at(name) : held.at(name).t();
    const at::Tensor scales = held.at(name + ".scale").reshape({-1, 1});
    const int largest = 127;
    EXPECT_EQ(values.to(at::kShort).abs().max().item<int>(), largest);
    // To the nearest: half a step at most.
    EXPECT_LE((values * scales - weight).abs().div(scales).max().item<float>(), 0.5001f);
    const at::Tensor magnitudes = weight.abs().amax(1, true);
    EXPECT_TRUE(at::allclose(scales * largest, at::where(magnitudes > 0, magnitudes, scales * largest)));
  }
  EXPECT_EQ(in_eight_bits, 1 + 1 + 4 + 4 + 1);  // table, projection, attention, two blocks, pooler
}

// One channel a hundred times as large as the others: without smoothing it takes all of the eight bits.
TEST(Onnx, SmoothsWhatLinearsRead) {
  const std::string block = Ffn("linear(gelu(linear(max(x,tanh(x)),wb1)),wb2)", 2);
  const Case item{"", kPlain, {block, block}, 2};
  Model model = RandomModel(item);
  model.weights.at("layer.0.attention.norm.weight").index_put_({4}, 100);
  const Batch row = RandomBatch({16}, Random(2));
  const auto magnitudes = InputMagnitudes(model, {row, RandomBatch({9}, Random(3))});
  std::set<std::string> names;
  for (const auto& [name, each] : magnitudes) {
    names.insert(name);
    EXPECT_EQ(each.sizes().vec(), std::vector<int64_t>{model.weights.at(name + ".weight").size(1)}) << name;
  }
  std::set<std::string> linears = {"pooler"};
  for (const char* name : {"attention.query", "attention.key", "attention.value", "attention.out", "ffn.0.up",
                           "ffn.0.down", "ffn.1.up", "ffn.1.down"})
    for (const std::string layer : {"layer.0.", "layer.1."}) linears.insert(layer + name);
  EXPECT_EQ(names, linears);
  const at::Tensor& up = magnitudes.at("layer.0.ffn.0.up");
  EXPECT_EQ(up.argmax().item<int>(), 4);

  const at::Tensor& weight = model.weights.at("layer.0.ffn.0.up.weight");
  const at::Tensor factors = SmoothingFactors(up, {weight});
  const auto spread = [](const at::Tensor& x) { return (x.max() / x.min()).item<double>(); };
  EXPECT_LT(spread(up / factors), spread(up) / 5);

  const std::string path = testing::TempDir() + "/smooth.onnx";
  WriteOnnx(model, path, {.weights = OnnxWeights::kInt8, .typical = {row}});
  std::map<std::string, at::Tensor> held;
  const onnx::ModelProto parsed = Parse(path);
  for (const auto& tensor : parsed.graph().initializer())
    if (tensor.has_raw_data()) held[tensor.name()] = ToTensor(tensor);
  // Product with the inputs as they were: the weight.
  // In the last layer queries, of the first token alone, share nothing with keys and values.
  const std::map<std::string, std::string> shared_by = {
      {"layer.0.ffn.0.up", "layer.0.ffn.0.up"},
      {"layer.0.attention.key", "layer.0.attention.query"},
      {"layer.1.attention.query", "layer.1.attention.query"},
      {"layer.1.attention.value", "layer.1.attention.key"},
      {"pooler", "pooler"}};
  for (const auto& [name, shared] : shared_by) {
    SCOPED_TRACE(name);
    const at::Tensor made = (held.at(name + ".weight").t() * held.at(name + ".weight.scale").unsqueeze(1)) *
                            held.at(shared + ".smooth");
    const at::Tensor& wanted = model.weights.at(name + ".weight");
    EXPECT_LT((made - wanted).norm().item<float>() / wanted.norm().item<float>(), 0.05f);
  }
}

TEST(Onnx, SaysWhichArchitectureItIs) {
  const Case item{"", kPlain, {Ffn(kBertFfn)}, 2};
  const std::string path = testing::TempDir() + "/architecture.onnx";
  WriteOnnx(RandomModel(item), path);
  const onnx::ModelProto parsed = Parse(path);
  ASSERT_EQ(parsed.metadata_props_size(), 1);
  EXPECT_EQ(parsed.metadata_props(0).key(), "architecture");
  EXPECT_EQ(parsed.metadata_props(0).value(), CanonicalText(MakeArchitecture(item)));
}

TEST(Onnx, WritesTheSameBytesAgainOverAnOldFile) {
  const Model model = RandomModel({"", kTrigram, {Ffn(kBertFfn)}, 2});
  const std::string directory = testing::TempDir() + "/onnx_again", path = directory + "/model.onnx";
  fs::remove_all(directory);
  fs::create_directories(directory);
  WriteOnnx(model, path);
  const std::string first = ReadFile(path);
  WriteFileAtomically(path, "an old file");
  WriteOnnx(model, path);
  EXPECT_TRUE(ReadFile(path) == first);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 1) << "a temporary file was left";
}

TEST(Onnx, RefusesMoreThanProtobufCanHold) {
  Model model = RandomModel({"", kPlain, {Ffn(kBertFfn)}, 2});
  // One zero in memory, 2 GiB in the file.
  model.weights.at("embedding.token") = at::zeros({1, 1}).expand({1 << 20, 512});
  const std::string path = testing::TempDir() + "/large.onnx";
  fs::remove(path);
  try {
    WriteOnnx(model, path);
    FAIL() << "written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    EXPECT_THAT(error.what(), HasSubstr("large.onnx"));
    EXPECT_THAT(error.what(), HasSubstr("2064 MiB"));
  }
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace thimble::models
