#include "models/hub/pretrained.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "models/hub/hub_config.h"
#include "models/hub/hugging_face.h"
#include "models/hub/weight_files.h"

namespace thimble::models {
namespace {

// A file's tensors by the name a Model looks for.
class Tensors {
 public:
  Tensors(WeightFiles files, std::optional<Family> family) : files_(std::move(files)), family_(family) {
    for (auto& [name, tensor] : files_.tensors) {
      // Buffers of old versions: 0, 1, 2, ... and zeros.
      if (family &&
          (name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.token_type_ids")))
        continue;
      const std::string plain = family ? PlainName(name, *family) : name;
      if (!tensors_.emplace(plain, Entry{name, &tensor}).second) {
        throw BadRequest(files_.path, "holds the same weight twice",
                         "'" + name + "' and '" + tensors_.at(plain).name + "'");
      }
    }
  }

  void ReadHeadAs(Head head) { head_ = head; }
  void ReadPooledAs(PooledHead pooled) { pooled_ = pooled; }
  void ReadStacksAs(int stacks) { stacks_ = stacks; }
  bool HasTensor(const std::string& name) const { return tensors_.count(name) > 0; }
  bool Has(const std::string& weight) const { return HasTensor(FileName(weight)); }
  int64_t Rows(const std::string& weight) const {
    const std::vector<int64_t>& sizes = tensors_.at(FileName(weight)).tensor->sizes;
    return sizes.empty() ? 0 : sizes[0];
  }

  // Error that names all weights of the model that the file lacks.
  void CheckHasAll(const std::vector<WeightShape>& weights) const {
    std::string absent;
    int count = 0;
    for (const WeightShape& weight : weights) {
      if (Has(weight.name)) continue;
      absent += (absent.empty() ? "" : ", ") + FileName(weight.name);
      ++count;
    }
    if (count > 0)
      throw BadRequest(files_.path, "lacks " + std::to_string(count) + " of the " +
                                        std::to_string(weights.size()) + " weights that " + Source() +
                                        " asks for: " + absent);
  }

  // As float32, checked against the architecture; will not be listed as unused.
  at::Tensor Take(const WeightShape& weight) {
    const auto found = tensors_.find(FileName(weight.name));
    THIMBLE_CHECK(found != tensors_.end(), weight.name);
    const std::string where = found->second.tensor->file + ", tensor '" + found->second.name + "'";
    const at::IntArrayRef sizes = found->second.tensor->sizes;
    if (sizes != at::IntArrayRef(weight.sizes)) {
      throw BadRequest(where, "its shape disagrees with " + Source(), c10::str(sizes),
                       c10::str(at::IntArrayRef(weight.sizes)));
    }
    const at::Tensor tensor = found->second.tensor->read();
    if (!tensor.is_floating_point()) throw BadRequest(where, "holds no floating-point numbers");
    tensors_.erase(found);
    ++taken_;
    return tensor.to(at::kFloat);
  }

  int taken() const { return taken_; }
  std::vector<std::string> Rest() const {
    std::vector<std::string> names;
    for (const auto& [plain, entry] : tensors_) names.push_back(entry.name);
    return names;
  }

 private:
  struct Entry {
    std::string name;  // in the file
    const StoredTensor* tensor;
  };

  std::string Source() const { return family_ ? "config.json" : "architecture.textproto"; }
  std::string FileName(const std::string& weight) const {
    return family_ ? HuggingFaceName(weight, head_, *family_, pooled_, stacks_) : weight;
  }

  // Without the prefix, LayerNorm's parameters as weight and bias (gamma and beta in the first converted
  // checkpoints).
  static std::string PlainName(std::string name, Family family) {
    if (name.starts_with(Prefix(family))) name.erase(0, Prefix(family).size());
    if (name.ends_with("LayerNorm.gamma")) return name.substr(0, name.size() - 5) + "weight";
    if (name.ends_with("LayerNorm.beta")) return name.substr(0, name.size() - 4) + "bias";
    return name;
  }

  WeightFiles files_;
  std::optional<Family> family_;
  Head head_ = Head::kPooled;
  PooledHead pooled_ = PooledHead::kBert;
  int stacks_ = 1;
  int taken_ = 0;
  std::map<std::string, Entry> tensors_;
};

// A family's weights where its file differs in more than names.
at::Tensor TakeOfFamily(const HubConfig& config, WeightShape weight, Tensors* tensors) {
  if (weight.name == "embedding.position" && config.SkippedPositions() > 0) {
    const int64_t skipped = config.SkippedPositions();
    weight.sizes[0] += skipped;
    return tensors->Take(weight).narrow(0, skipped, weight.sizes[0] - skipped).clone();
  }
  if (weight.name == "embedding.segment") {
    const int64_t rows = weight.sizes[0];
    weight.sizes[0] = config.FileSegments();
    // Every type adds the same: nothing (DistilBERT), or the only row.
    if (weight.sizes[0] == 0) return at::zeros({rows, weight.sizes[1]}, at::kFloat);
    const at::Tensor table = tensors->Take(weight);
    return rows == weight.sizes[0] ? table : table.repeat({rows, 1});
  }
  return tensors->Take(weight);
}

// What the file's head computes that ours does not; empty where there is nothing to say.
std::string NoteOnHead(const Tensors& tensors, Family family, bool pooler) {
  if (family == Family::kDistilBert && tensors.HasTensor("pre_classifier.weight"))
    return "its head (pre_classifier, ReLU, classifier) is not used: the heads of thimble read a pooler with "
           "tanh; `thimble finetune` trains one";
  if (!pooler && family == Family::kMobileBert && tensors.HasTensor("classifier.weight"))
    return "its head is not used: it reads the first token's state without a pooler (or it labels tokens); "
           "`thimble finetune` trains one with a pooler";
  if (!pooler && tensors.HasTensor("classifier.weight"))
    return "its head is not used: a classifier without a pooler labels tokens";
  return "";
}

}  // namespace

Pretrained LoadPretrained(const std::string& directory) {
  const HubConfig config = HubConfig::OfDirectory(directory);
  const std::optional<Family> family = config.family();
  Pretrained result;
  result.directory = directory;
  result.model_type = config.model_type();
  Model& model = result.model;
  if (family) {
    model.architecture = config.Architecture();
    model.shape = Resolve(model.architecture, config.path());
  } else {
    const std::string path = directory + "/architecture.textproto";
    ReadText(path, &model.architecture);
    model.shape = Resolve(model.architecture, path);
  }
  WeightFiles files = OpenWeightFiles(directory);
  result.format = files.format;
  result.files = files.files;
  Tensors tensors(std::move(files), family);
  tensors.ReadStacksAs(model.shape.layers[0].stacks);
  const bool spans = family ? tensors.HasTensor("qa_outputs.weight")
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
  if (family == Family::kRoberta && tensors.HasTensor("classifier.dense.weight"))
    tensors.ReadPooledAs(PooledHead::kRobertaClassifier);
  // A classifier without a pooler labels tokens: not our head.
  const bool pooler = !spans && tensors.Has("pooler.weight");
  if (pooler && tensors.Has("head.weight")) model.classes = static_cast<int>(tensors.Rows("head.weight"));
  if (family && !spans) {
    const std::string note = NoteOnHead(tensors, *family, pooler);
    if (!note.empty()) {
      Warn(directory + ": " + note);
      result.notes.push_back(note);
    }
  }
  const std::vector<WeightShape> weights = WeightShapes(model.shape, pooler, model.classes, 0, model.head);
  std::vector<WeightShape> in_file = weights;
  if (family && config.FileSegments() == 0) {
    std::erase_if(in_file, [](const WeightShape& weight) { return weight.name == "embedding.segment"; });
    result.notes.push_back("the file has no token types: a table of zeros stands for them");
  }
  tensors.CheckHasAll(in_file);
  for (const WeightShape& weight : weights)
    model.weights.Add(weight.name, family ? TakeOfFamily(config, weight, &tensors) : tensors.Take(weight));
  if (family == Family::kMobileBert && model.shape.trigram > 0 &&
      model.weights.at("embedding.token")[0].any().item<bool>())
    result.notes.push_back(
        "padding is no neighbour here; transformers gives the last token of a padded row [PAD]'s vector");
  if (spans) {
    // transformers writes LABEL_0 and LABEL_1 there, or nothing.
    result.label_names = {"start", "end"};
  } else if (model.classes > 0) {
    result.label_names = config.Labels(model.classes);
    result.label_ids = config.LabelIds();
  }
  if (model.classes > 0) result.settings = ReadSettings(config, directory);
  if (!spans) result.settings.null_threshold.reset(), result.settings.reading.reset();
  result.loaded = tensors.taken();
  result.unused = tensors.Rest();
  return result;
}

int ReadLength(const Pretrained& model) {
  const int standard = model.model.head == Head::kTokens ? 384 : 512;
  const auto& [max_length, null_threshold, reading, model_max_length] = model.settings;
  return std::min(model.model.shape.positions,
                  max_length.value_or(std::min(standard, model_max_length.value_or(standard))));
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
  for (const auto& [name, tensor] : model.weights)  // WeightShapes lists no fit_dense.S
    if (name.starts_with("fit_dense.") && !weights.Has(name)) weights.Add(name, tensor);
  model.weights = std::move(weights);
  model.classes = classes;
  model.head = kind;
  pretrained->settings = {};
  pretrained->label_names = label_names;
  pretrained->label_ids.clear();
}

void ReorderHead(const std::vector<int>& from, Model* model) {
  THIMBLE_CHECK(model->head == Head::kPooled && from.size() == static_cast<size_t>(model->classes),
                "an output for each class");
  const at::Tensor index = at::tensor(std::vector<int64_t>(from.begin(), from.end()));
  for (const char* name : {"head.weight", "head.bias"})
    model->weights.at(name) = model->weights.at(name).index_select(0, index);
}

}  // namespace thimble::models
