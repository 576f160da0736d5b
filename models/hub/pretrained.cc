#include "models/hub/pretrained.h"

#include <ATen/ATen.h>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "models/encoder/resolve.h"
#include "models/hub/hub_config.h"
#include "models/hub/model_tensors.h"
#include "models/hub/read_length.h"

namespace thimble::models {
namespace {

// Its convolutions have an axis more; a group's part of a grouped linear is [in, out] there.
at::Tensor TakeOfConvBert(WeightShape weight, ModelTensors* tensors) {
  const std::vector<int64_t> sizes = weight.sizes;
  if (weight.name.ends_with(".span.neighbours.weight")) weight.sizes.insert(weight.sizes.begin() + 1, 1);
  if (weight.name.ends_with(".span.key.weight") || weight.name.ends_with(".span.key.bias"))
    weight.sizes.push_back(1);
  const int64_t groups = weight.form.taps ? 1 : weight.form.groups;
  if (groups == 1 || sizes.size() != 2) return tensors->Take(weight).view(sizes);
  weight.sizes = {groups, sizes[1], sizes[0] / groups};
  return tensors->Take(weight).transpose(1, 2).reshape(sizes);
}

// A family's weights where its file differs in more than names.
at::Tensor TakeOfFamily(const HubConfig& config, WeightShape weight, ModelTensors* tensors) {
  if (weight.name == "embedding.position" && config.SkippedPositions() > 0) {
    const int64_t skipped = config.SkippedPositions();
    weight.sizes[0] += skipped;
    return tensors->Take(weight).narrow(0, skipped, weight.sizes[0] - skipped).clone();
  }
  if (config.family() == Family::kConvBert) return TakeOfConvBert(std::move(weight), tensors);
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

// Why the file's head for sentences is none of ours; empty where it is, or where there is none.
std::string WhyHeadIsNotUsed(const HubConfig& config, const ModelTensors& tensors, bool pooler) {
  if (config.family() == Family::kDistilBert && tensors.HasTensor("pre_classifier.weight"))
    return "its head (pre_classifier, ReLU, classifier) is not used: the heads of thimble read a pooler with "
           "tanh; `thimble finetune` trains one";
  if ((config.family() == Family::kElectra || config.family() == Family::kConvBert) &&
      tensors.HasTensor("classifier.out_proj.weight"))
    return "its head (classifier.dense, an activation, classifier.out_proj) is not used: the heads of "
           "thimble read "
           "a pooler with tanh; `thimble finetune` trains one";
  if (!tensors.Has("head.weight") && !tensors.HasTensor("classifier.weight")) return "";
  if (config.ClassifiesOtherThings())
    return "its head is not used: " + config.ModelClass() +
           " is no classifier of sentences; `thimble finetune` trains one";
  if (!pooler && config.family() == Family::kMobileBert)
    return "its head is not used: it reads the first token's state without a pooler (or it labels tokens); "
           "`thimble finetune` trains one with a pooler";
  if (!pooler) return "its head is not used: a classifier without a pooler labels tokens";
  const auto outputs = tensors.Rows("head.weight");
  const ProblemType problem = config.Problem();
  if (problem == ProblemType::kRegression && outputs != 1)
    return "its head is not used: 'problem_type' is regression, of " + std::to_string(outputs) +
           " numbers; here a model gives one";
  if (problem == ProblemType::kSingleLabel && outputs == 1)
    return "its head is not used: 'problem_type' is single_label_classification, with one class";
  return "";
}

// Reads what the head is, and takes it for the model where it is one of ours. Whether there is a pooler.
bool ReadHead(const HubConfig& config, ModelTensors* tensors, Pretrained* result) {
  Model& model = result->model;
  const bool spans = config.family() ? tensors->HasTensor("qa_outputs.weight")
                                     : config.AnswersQuestions() && tensors->HasTensor("head.weight");
  if (spans) {
    model.head = TaskHead::kTokens;
    tensors->ReadHeadAs(model.head);
    model.classes = static_cast<int>(tensors->Rows("head.weight"));
    constexpr int kStartAndEnd = 2;
    if (model.classes != kStartAndEnd)
      throw BadRequest(result->directory, "the head for spans has another number of outputs",
                       std::to_string(model.classes), "2: start and end");
    return false;
  }
  if (config.family() == Family::kRoberta && tensors->HasTensor("classifier.dense.weight"))
    tensors->ReadPooledAs(PooledHead::kRobertaClassifier);
  const bool pooler = tensors->Has("pooler.weight") && config.ReadsPooler();
  const std::string why = WhyHeadIsNotUsed(config, *tensors, pooler);
  if (!why.empty()) {
    Warn(result->directory + ": " + why);
    result->notes.push_back(why);
  } else if (pooler && tensors->Has("head.weight")) {
    model.classes = static_cast<int>(tensors->Rows("head.weight"));
  }
  return pooler;
}

void ReadLabels(const HubConfig& config, Pretrained* result) {
  const int classes = result->model.classes;
  if (result->model.head == TaskHead::kTokens) {
    // transformers writes LABEL_0 and LABEL_1 there, or nothing.
    result->label_names = {"start", "end"};
    return;
  }
  if (classes == 0) return;
  result->label_names = config.Labels(classes);
  result->label_ids = config.LabelIds();
  result->multi_label = config.Problem() == ProblemType::kMultiLabel;
  if (config.NumLabels().value_or(classes) != classes)
    result->notes.push_back("config.json: 'num_labels' is " + std::to_string(*config.NumLabels()) +
                            " and 'id2label' names the head's " + std::to_string(classes) +
                            " outputs: the names are taken, as transformers does");
  const std::string name = config.ModelClass();
  if (!name.empty() && !name.ends_with("ForSequenceClassification"))
    result->notes.push_back("config.json says " + name +
                            "; the head in its file is read as that of a classifier of sentences");
}

void ReadArchitecture(const HubConfig& config, const std::string& directory, Model* model) {
  std::string path = config.path();
  if (config.family()) {
    model->architecture = config.Architecture();
  } else {
    path = directory + "/architecture.textproto";
    ReadText(path, &model->architecture);
  }
  model->shape = Resolve(model->architecture, path);
}

}  // namespace

Pretrained LoadPretrained(const std::string& directory) {
  const HubConfig config = HubConfig::OfDirectory(directory);
  const std::optional<Family> family = config.family();
  Pretrained result;
  result.directory = directory;
  result.model_type = config.model_type();
  result.config = config.Names();
  Model& model = result.model;
  ReadArchitecture(config, directory, &model);
  WeightFiles files = OpenWeightFiles(directory, family);
  result.format = files.format;
  result.files = files.files;
  result.bytes = files.bytes;
  if (!files.note.empty()) result.notes.push_back(files.note);
  ModelTensors tensors(std::move(files), family);
  tensors.ReadStacksAs(model.shape.layers[0].stacks);
  const bool pooler = ReadHead(config, &tensors, &result);
  const std::vector<WeightShape> weights = WeightShapes(model.shape, pooler, model.classes, 0, model.head);
  std::vector<WeightShape> in_file = weights;
  if (family && config.FileSegments() == 0) {
    std::erase_if(in_file, [](const WeightShape& weight) { return weight.name == "embedding.segment"; });
    result.notes.push_back("the file has no token types: a table of zeros stands for them");
  }
  tensors.CheckHasAll(in_file);
  for (const WeightShape& weight : weights)
    model.weights.Add(weight.name, family ? TakeOfFamily(config, weight, &tensors) : tensors.Take(weight));
  if (family == Family::kMobileBert && model.shape.projected > model.shape.embedding_width &&
      model.weights.at("embedding.token")[0].any().item<bool>())
    result.notes.push_back(
        "padding is no neighbour here; transformers gives the last token of a padded row [PAD]'s vector");
  if (family == Family::kConvBert)
    result.notes.push_back(
        "padding is no neighbour here; in transformers it reaches into a row's last tokens");
  ReadLabels(config, &result);
  if (model.classes > 0) result.settings = ReadSettings(config, directory);
  if (model.head != TaskHead::kTokens)
    result.settings.null_threshold.reset(), result.settings.reading.reset();
  result.loaded = tensors.taken();
  result.unused = tensors.Rest();
  return result;
}

int ReadLength(const Pretrained& model) {
  return ReadLength(model.settings, model.model.head, model.model.shape.positions);
}

bool HasHead(const Model& model, int classes, TaskHead head) {
  return model.classes == classes && (classes == 0 || model.head == head);
}

std::string DescribeHead(int classes, TaskHead head) {
  if (classes == 0) return "no head";
  if (head == TaskHead::kTokens) return "a head for spans";
  return "a head of " + std::to_string(classes) + " classes";
}

void RequireOneLabel(const Pretrained& pretrained) {
  if (!pretrained.multi_label) return;
  throw BadRequest(pretrained.directory + "/config.json", "'problem_type' is not supported here",
                   "multi_label_classification",
                   "one label a row; `thimble predict` and `thimble export` compute with such a model");
}

void RequireHead(const Pretrained& teacher, int classes, const std::string& task, TaskHead head) {
  RequireOneLabel(teacher);
  if (HasHead(teacher.model, classes, head)) return;
  throw BadRequest(teacher.directory, "the model has no head for task " + task,
                   DescribeHead(teacher.model.classes, teacher.model.head),
                   DescribeHead(classes, head) + "; `thimble finetune " + teacher.directory + " --task " +
                       task + "` trains one");
}

void AddHead(Pretrained* pretrained, int classes, const std::vector<std::string>& label_names, Random random,
             TaskHead kind) {
  THIMBLE_CHECK(classes > 0 && label_names.size() == static_cast<size_t>(classes), "one name for each class");
  Model& model = pretrained->model;
  Weights weights;
  const bool pooler = kind == TaskHead::kPooled;
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
  pretrained->multi_label = false;
  pretrained->label_names = label_names;
  pretrained->label_ids.clear();
}

void ReorderHead(const std::vector<int>& from, Model* model) {
  THIMBLE_CHECK(model->head == TaskHead::kPooled && from.size() == static_cast<size_t>(model->classes),
                "an output for each class");
  const at::Tensor index = at::tensor(std::vector<int64_t>(from.begin(), from.end()));
  for (const char* name : {"head.weight", "head.bias"})
    model->weights.at(name) = model->weights.at(name).index_select(0, index);
}

}  // namespace thimble::models
