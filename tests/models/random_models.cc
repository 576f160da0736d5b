// random_models OUT DATA VOCABULARY COUNT: random points of the space of all architectures, one directory
// each with the exported model and what it computes for real sentences, for agreement_check.py. DATA holds
// MRPC/dev.tsv.
#include <ATen/ATen.h>

#include <cstdio>
#include <filesystem>

#include "base/config.h"
#include "base/error.h"
#include "base/random.h"
#include "data/task.h"
#include "data/text/wordpiece.h"
#include "models/encoder/resolve.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"
#include "models/onnx/onnx.h"
#include "models/padding.h"
#include "tests/kinds/draw.h"

namespace thimble::models {
namespace {

constexpr int kSentences = 6;
constexpr int kLongest = 48;
constexpr int kPositions = 64;

int Between(int low, int high, Random* random) {
  return low + static_cast<int>(random->Below(static_cast<uint64_t>(high - low + 1)));
}

template <typename Value>
Value OneOf(const std::vector<Value>& values, Random* random) {
  return values[random->Below(values.size())];
}

proto::Architecture Draw(int number, int vocabulary, Random* random) {
  proto::Architecture architecture;
  architecture.set_vocabulary(vocabulary);
  architecture.set_positions(kPositions);
  const int heads = Between(1, 4, random);
  architecture.set_heads(heads);
  architecture.set_hidden(heads * Between(3, 8, random));
  const std::vector<int> ffn = {0, 24, 31, 50};
  architecture.set_ffn_hidden(OneOf(ffn, random));
  if (random->Below(3) == 0) architecture.set_pooler(Between(5, 40, random));
  auto* embedding = architecture.mutable_embedding();
  *embedding = DrawEmbedding(Embeddings()[number % Embeddings().size()].name, random);
  if (random->Below(3) == 0) {
    architecture.mutable_bottleneck()->set_width(heads * Between(2, 5, random));
    architecture.mutable_bottleneck()->set_share_query_key(random->Below(2) == 0);
  }
  if (random->Below(4) == 0) architecture.set_position_table(false);
  if (random->Below(4) == 0) architecture.set_norm(proto::NO_NORM);
  const int width = architecture.has_bottleneck() ? architecture.bottleneck().width() : architecture.hidden();
  const int base = architecture.ffn_hidden() > 0 ? architecture.ffn_hidden() : architecture.hidden();
  const int layers = Between(1, 4, random);
  for (int i = 0; i < layers; ++i) {
    auto* layer = architecture.add_layer();
    // Each kind in its turn, and any.
    const auto mixer =
        i == 0 ? static_cast<size_t>(number) % Mixers().size() : random->Below(Mixers().size());
    const auto ffn =
        i == 0 ? static_cast<size_t>(number) % FeedForwards().size() : random->Below(FeedForwards().size());
    *layer->mutable_mixer() = DrawMixer(Mixers()[mixer].name, random);
    const auto& biases = AttentionBiases();
    if (i == 0 && BiasOf(layer->mixer()) == nullptr && random->Below(3) == 0)
      *layer->mutable_mixer() = DrawBias(biases[static_cast<size_t>(number) % biases.size()].name, random);
    *layer->mutable_ffn() = DrawFeedForward(FeedForwards()[ffn].name, width, base, random);
    if (i > 0 || number % 3 > 0 || layer->ffn().has_none()) continue;
    proto::FeedForward* block = layer->mutable_ffn();
    block->clear_groups();
    block->clear_monarch();
    block->clear_experts();
    DrawStructure(Structures()[static_cast<size_t>(number / 3) % Structures().size()], block, random);
  }
  return architecture;
}

// Fields that do not go together are drawn again.
proto::Architecture DrawValid(int number, int vocabulary, Random* random) {
  for (int tries = 0;; ++tries) {
    const proto::Architecture architecture = Draw(number, vocabulary, random);
    try {
      Resolve(architecture);
      return architecture;
    } catch (const Error&) {
      if (tries > 200) throw;
    }
  }
}

// Every weight matters, and states stay within what float32 tells apart: products of states grow where no
// LayerNorm brings them back, so a NoNorm scales down.
void Fill(Model* model, const Random& random) {
  for (const auto& [name, tensor] : model->weights) {
    Random stream = random.Fork(name);
    const bool gain = tensor.dim() == 1 && name.ends_with(".weight");
    const double middle = !gain ? 0 : model->shape.no_norm ? 0.3 : 1;
    const double deviation =
        tensor.dim() == 2 && name.ends_with(".weight") ? 1 / std::sqrt(tensor.size(1)) : 0.2;
    at::Tensor filled = at::empty(tensor.sizes(), at::kFloat);
    float* values = filled.mutable_data_ptr<float>();
    for (int64_t i = 0; i < filled.numel(); ++i)
      values[i] =
          static_cast<float>(middle + (model->shape.no_norm && gain ? 0.1 : deviation) * stream.Normal());
    model->weights.at(name) = filled;
  }
}

Batch Sentences(const std::string& data, const data::WordPiece& tokenizer) {
  const auto& task = data::FindTask("mrpc");
  std::vector<data::Encoding> encoded;
  for (const data::Row& row : data::ReadRows(task, data::SplitPath(task, data, task.dev), kSentences))
    encoded.push_back(tokenizer.Encode(row.first, row.second, true, kLongest));
  std::vector<TokenRow> rows;
  for (const data::Encoding& row : encoded) rows.push_back({row.ids, row.segments});
  return PadRows(rows);
}

void Write(const Model& model, const Batch& batch, const std::string& directory) {
  std::filesystem::create_directories(directory);
  std::vector<std::string> labels;
  for (int i = 0; i < model.classes; ++i) labels.push_back("LABEL_" + std::to_string(i));
  SavePretrained(model, labels, directory);
  WriteText(directory + "/architecture.textproto", model.architecture);
  WriteOnnx(model, directory + "/model.onnx");
  const c10::InferenceMode inference;
  const Outputs outputs = Forward(model, batch);
  Weights expected;
  expected.Add("input_ids", batch.ids);
  expected.Add("token_type_ids", batch.segments);
  expected.Add("attention_mask", batch.mask.to(at::kLong));
  expected.Add("last", outputs.last_hidden_state);
  if (model.classes > 0) expected.Add("logits", outputs.logits);
  WriteSafetensors(directory + "/expected.safetensors", expected);
}

void Run(const std::string& out, const std::string& data, const std::string& vocabulary, int count) {
  const data::WordPiece tokenizer(vocabulary);
  const Batch batch = Sentences(data, tokenizer);
  for (int i = 0; i < count; ++i) {
    Random random = Random(1).Fork("architecture", static_cast<uint64_t>(i));
    const proto::Architecture architecture = DrawValid(i, tokenizer.size(), &random);
    const int kind = Between(0, 3, &random);
    const TaskHead head = kind == 1 ? TaskHead::kTokens : TaskHead::kPooled;
    Model model = MakeModel(architecture, kind == 0 ? 0 : kind == 1 ? 2 : 3, 0, random, head);
    Fill(&model, random);
    Write(model, batch, out + "/" + std::to_string(i));
  }
}

}  // namespace
}  // namespace thimble::models

int main(int count, char** arguments) {
  if (count != 5) {
    std::fputs("usage: random_models OUT DATA VOCABULARY COUNT\n", stderr);
    return thimble::kBadRequest;
  }
  try {
    thimble::models::Run(arguments[1], arguments[2], arguments[3], std::stoi(arguments[4]));
  } catch (const thimble::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.code();
  }
}
