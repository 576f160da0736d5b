#include "models/pretrained.h"

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/hugging_face.h"
#include "models/json.h"
#include "models/safetensors.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kMaxConfigDepth = 64;
constexpr char kPrefix[] = "bert.";

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// config.json of a directory.
class Config {
 public:
  explicit Config(const std::string& directory) : path_(directory + "/config.json") {
    std::error_code ignored;
    if (!fs::is_directory(directory, ignored)) {
      throw BadRequest(directory, "not a directory", "",
                       "a directory with config.json and model.safetensors");
    }
    json_ = ParseJson(ReadFile(path_), path_, kMaxConfigDepth);
    if (!json_.is_object()) throw BadRequest(path_, "not a JSON object");
  }

  const std::string& path() const { return path_; }

  // A positive number; `missing` 0: required.
  int Int(const char* key, int missing = 0) const {
    const auto found = json_.find(key);
    if (found == json_.end() && missing > 0) return missing;
    if (found == json_.end()) throw BadRequest(path_, std::string("'") + key + "' is missing");
    constexpr int kMost = 10'000'000;
    if (!found->is_number_unsigned() || found->get<uint64_t>() < 1 || found->get<uint64_t>() > kMost) {
      throw BadRequest(path_, std::string("'") + key + "' is out of range", found->dump(),
                       "a whole number from 1 to " + std::to_string(kMost));
    }
    return found->get<int>();
  }

  double Float(const char* key, double missing) const {
    const auto found = json_.find(key);
    if (found == json_.end()) return missing;
    if (!found->is_number())
      throw BadRequest(path_, std::string("'") + key + "' is not a number", found->dump());
    return found->get<double>();
  }

  std::string Text(const char* key, const std::string& missing) const {
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) return missing;
    if (!found->is_string())
      throw BadRequest(path_, std::string("'") + key + "' is not a string", found->dump());
    return found->get<std::string>();
  }

  std::optional<double> Number(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) return {};
    return Float(key, 0);
  }

  // Whether the first of "architectures" is a model that answers questions.
  bool AnswersQuestions() const {
    const auto found = json_.find("architectures");
    return found != json_.end() && found->is_array() && !found->empty() && found->front().is_string() &&
           EndsWith(found->front().get<std::string>(), "ForQuestionAnswering");
  }

  bool Flag(const char* key) const {
    const auto found = json_.find(key);
    return found != json_.end() && found->is_boolean() && found->get<bool>();
  }

  // id2label, {"0": "name", ...}; Hugging Face leaves it out where it would be LABEL_0, LABEL_1.
  std::vector<std::string> Labels(int classes) const {
    std::vector<std::string> names;
    const auto found = json_.find("id2label");
    const bool given = found != json_.end() && !found->is_null();
    if (given && (!found->is_object() || found->size() != static_cast<size_t>(classes))) {
      throw BadRequest(path_, "'id2label' does not name the outputs of the head in model.safetensors",
                       found->dump(),
                       std::to_string(classes) + " names, keys 0 to " + std::to_string(classes - 1));
    }
    for (int i = 0; i < classes; ++i) {
      if (!given) {
        names.push_back("LABEL_" + std::to_string(i));
        continue;
      }
      const auto name = found->find(std::to_string(i));
      if (name == found->end() || !name->is_string()) {
        throw BadRequest(path_, "'id2label' has no name for class " + std::to_string(i), found->dump());
      }
      names.push_back(name->get<std::string>());
    }
    return names;
  }

 private:
  std::string path_;
  json json_;
};

// Defaults of what may be left out: transformers' BertConfig.
proto::Architecture BertArchitecture(const Config& config) {
  const std::string position = config.Text("position_embedding_type", "absolute");
  if (position != "absolute") {
    throw BadRequest(config.path(), "'position_embedding_type' is not supported", "'" + position + "'",
                     "absolute");
  }
  if (config.Flag("is_decoder"))
    throw BadRequest(config.path(), "'is_decoder' is not supported", "true", "false");
  const std::string activation = config.Text("hidden_act", "gelu");
  const std::string expression = ExpressionOfActivation(activation);
  if (expression.empty()) {
    throw BadRequest(config.path(), "unknown 'hidden_act'", "'" + activation + "'", AcceptedActivations());
  }
  const int layers = config.Int("num_hidden_layers");
  if (layers > 1000) {
    throw BadRequest(config.path(), "'num_hidden_layers' is out of range", std::to_string(layers),
                     "up to 1000");
  }
  proto::Architecture architecture;
  architecture.set_vocabulary(config.Int("vocab_size"));
  architecture.set_positions(config.Int("max_position_embeddings", 512));
  architecture.set_segments(config.Int("type_vocab_size", 2));
  architecture.set_hidden(config.Int("hidden_size"));
  architecture.set_heads(config.Int("num_attention_heads"));
  architecture.set_ffn_hidden(config.Int("intermediate_size"));
  architecture.set_layer_norm_epsilon(config.Float("layer_norm_eps", 1e-12));
  architecture.mutable_embedding()->mutable_plain();
  for (int i = 0; i < layers; ++i) {
    proto::Layer* layer = architecture.add_layer();
    layer->mutable_mixer()->mutable_self_attention();
    layer->mutable_ffn()->set_expression(expression);
  }
  Validate(architecture, config.path());
  return architecture;
}

// The file's tensors by the name a Model looks for, each with the name it has in the file.
class Tensors {
 public:
  Tensors(const std::string& directory, bool bert) : path_(directory + "/model.safetensors"), bert_(bert) {
    std::error_code ignored;
    if (!fs::exists(path_, ignored)) {
      throw BadRequest(path_, "no such file", "",
                       "weights in one safetensors file; transformers writes it: "
                       "model.save_pretrained(DIR, safe_serialization=True, max_shard_size='100GB')");
    }
    const TensorFile file = ReadSafetensors(path_);
    for (const auto& [name, tensor] : file.tensors) {
      if (bert && EndsWith(name, "embeddings.position_ids"))
        continue;  // a buffer of old versions: 0, 1, 2, ...
      const std::string plain = bert ? PlainName(name) : name;
      if (!tensors_.emplace(plain, std::pair(name, tensor)).second) {
        throw BadRequest(path_, "holds the same weight twice",
                         "'" + name + "' and '" + tensors_.at(plain).first + "'");
      }
    }
  }

  void ReadHeadAs(Head head) { head_ = head; }
  bool HasTensor(const std::string& name) const { return tensors_.count(name) > 0; }
  bool Has(const std::string& weight) const { return tensors_.count(FileName(weight)) > 0; }
  int64_t Rows(const std::string& weight) const {
    const at::Tensor& tensor = tensors_.at(FileName(weight)).second;
    return tensor.dim() > 0 ? tensor.size(0) : 0;
  }

  // As float32, checked against the architecture; will not be listed as unused.
  at::Tensor Take(const WeightShape& weight) {
    const auto found = tensors_.find(FileName(weight.name));
    if (found == tensors_.end()) throw BadRequest(path_, "lacks the weight '" + FileName(weight.name) + "'");
    const auto& [name, tensor] = found->second;
    if (tensor.sizes() != at::IntArrayRef(weight.sizes)) {
      throw BadRequest(
          path_ + ", tensor '" + name + "'",
          bert_ ? "its shape disagrees with config.json" : "its shape disagrees with architecture.textproto",
          c10::str(tensor.sizes()), c10::str(at::IntArrayRef(weight.sizes)));
    }
    if (!tensor.is_floating_point()) {
      throw BadRequest(path_ + ", tensor '" + name + "'", "holds no floating-point numbers");
    }
    const at::Tensor result = tensor.to(at::kFloat);
    tensors_.erase(found);
    return result;
  }

  std::vector<std::string> Rest() const {
    std::vector<std::string> names;
    for (const auto& [plain, entry] : tensors_) names.push_back(entry.first);
    return names;
  }

 private:
  std::string FileName(const std::string& weight) const {
    return bert_ ? HuggingFaceName(weight, head_) : weight;
  }

  // Without the prefix, LayerNorm's parameters as weight and bias (gamma and beta in the first converted
  // checkpoints).
  static std::string PlainName(std::string name) {
    if (name.compare(0, sizeof kPrefix - 1, kPrefix) == 0) name.erase(0, sizeof kPrefix - 1);
    if (EndsWith(name, "LayerNorm.gamma")) return name.substr(0, name.size() - 5) + "weight";
    if (EndsWith(name, "LayerNorm.beta")) return name.substr(0, name.size() - 4) + "bias";
    return name;
  }

  std::string path_;
  bool bert_;
  Head head_ = Head::kPooled;
  std::map<std::string, std::pair<std::string, at::Tensor>> tensors_;
};

}  // namespace

Pretrained LoadPretrained(const std::string& directory) {
  const Config config(directory);
  const std::string type = config.Text("model_type", "");
  if (type != "bert" && type != "thimble") {
    throw BadRequest(config.path(), "unknown 'model_type'", "'" + type + "'", "bert, thimble");
  }
  const bool bert = type == "bert";
  Pretrained result;
  result.directory = directory;
  Model& model = result.model;
  if (bert) {
    model.architecture = BertArchitecture(config);
    model.shape = Resolve(model.architecture, config.path());
  } else {
    const std::string path = directory + "/architecture.textproto";
    ReadText(path, &model.architecture);
    model.shape = Resolve(model.architecture, path);
  }
  Tensors tensors(directory, bert);
  const bool spans = bert ? tensors.HasTensor("qa_outputs.weight")
                          : config.AnswersQuestions() && tensors.HasTensor("head.weight");
  if (spans) {
    model.head = Head::kTokens;
    tensors.ReadHeadAs(model.head);
    model.classes = static_cast<int>(tensors.Rows("head.weight"));
    constexpr int kStartAndEnd = 2;
    if (model.classes != kStartAndEnd)
      throw BadRequest(directory, "the head for spans has another number of outputs",
                       std::to_string(model.classes), "2: start and end");
  }
  // A classifier without a pooler labels tokens: not our head.
  const bool pooler = !spans && tensors.Has("pooler.weight");
  if (pooler && tensors.Has("head.weight")) model.classes = static_cast<int>(tensors.Rows("head.weight"));
  for (const WeightShape& weight : WeightShapes(model.shape, pooler, model.classes, 0, model.head)) {
    model.weights.Add(weight.name, tensors.Take(weight));
  }
  if (spans) {
    // transformers writes LABEL_0 and LABEL_1 there, or nothing.
    result.label_names = {"start", "end"};
    result.null_threshold = config.Number("null_threshold");
  } else if (model.classes > 0) {
    result.label_names = config.Labels(model.classes);
  }
  result.unused = tensors.Rest();
  return result;
}

bool HasHead(const Model& model, int classes, Head head) {
  return model.classes == classes && (classes == 0 || model.head == head);
}

std::string DescribeHead(int classes, Head head) {
  if (classes == 0) return "no head";
  if (head == Head::kTokens) return "a head for spans";
  return "a head of " + std::to_string(classes) + " classes";
}

void RequireHead(const Pretrained& teacher, int classes, const std::string& task, Head head) {
  if (HasHead(teacher.model, classes, head)) return;
  throw BadRequest(teacher.directory, "the model has no head for task " + task,
                   DescribeHead(teacher.model.classes, teacher.model.head),
                   DescribeHead(classes, head) + "; `thimble finetune " + teacher.directory + " --task " +
                       task + "` trains one");
}

void AddHead(Pretrained* pretrained, int classes, const std::vector<std::string>& label_names, Random random,
             Head kind) {
  THIMBLE_CHECK(classes > 0 && label_names.size() == static_cast<size_t>(classes), "one name for each class");
  Model& model = pretrained->model;
  Weights weights;
  const bool pooler = kind == Head::kPooled;
  for (const WeightShape& weight : WeightShapes(model.shape, pooler, classes, model.teacher_hidden, kind)) {
    const bool head = weight.name.compare(0, 5, "head.") == 0;
    if (!head && model.weights.Has(weight.name)) {
      weights.Add(weight.name, model.weights.at(weight.name));
    } else {
      weights.Add(weight.name, NewWeight(weight, random));
      pretrained->initialised.push_back(weight.name);
    }
  }
  model.weights = std::move(weights);
  model.classes = classes;
  model.head = kind;
  pretrained->null_threshold.reset();
  pretrained->label_names = label_names;
}

}  // namespace thimble::models
