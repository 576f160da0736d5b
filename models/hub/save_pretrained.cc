#include <ATen/ATen.h>
#include <google/protobuf/util/json_util.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/encoder/bert.h"
#include "models/encoder/kinds.h"
#include "models/hub/hugging_face.h"
#include "models/hub/json.h"
#include "models/hub/modeling.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"

namespace thimble::models {
namespace {

using nlohmann::ordered_json;

std::string ClassName(const Model& model, const std::string& prefix, const std::string& bare) {
  if (model.classes == 0) return bare;
  return prefix + (model.head == TaskHead::kTokens ? "ForQuestionAnswering" : "ForSequenceClassification");
}

ordered_json BertConfig(const Model& model) {
  const ResolvedArchitecture& shape = model.shape;
  ordered_json config;
  config["architectures"] = {ClassName(model, "Bert", "BertModel")};
  config["model_type"] = "bert";
  config["vocab_size"] = shape.vocabulary;
  config["max_position_embeddings"] = shape.positions;
  config["type_vocab_size"] = shape.segments;
  config["hidden_size"] = shape.hidden;
  config["num_hidden_layers"] = shape.layers.size();
  config["num_attention_heads"] = shape.heads;
  config["intermediate_size"] = shape.layers[0].width;
  config["hidden_act"] = ActivationOfExpression(shape.layers[0].expression);
  config["layer_norm_eps"] = shape.layer_norm_epsilon;
  config["position_embedding_type"] = "absolute";
  config["hidden_dropout_prob"] = 0.1;
  config["attention_probs_dropout_prob"] = 0.1;
  config["classifier_dropout"] = nullptr;
  config["initializer_range"] = 0.02;
  config["pad_token_id"] = 0;
  config["use_cache"] = true;
  return config;
}

// The message's fields, defaults filled in.
ordered_json Fields(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  THIMBLE_CHECK(status.ok(), status.ToString());
  return ordered_json::parse(text);
}

// {"glu": {"activation": "gelu"}, "mixer": {"none": {}}, ...}; a mixer that is BERT's is left out.
ordered_json LayerConfig(const LayerShape& layer) {
  ordered_json config = ordered_json::object();
  const FeedForwardEntry& ffn = EntryOf(layer.ffn);
  if (ffn.text != nullptr) {
    config[ffn.name] = ffn.text(layer);
  } else {
    config[ffn.name] = Fields(KindMessage(layer.ffn));
  }
  config["stacks"] = layer.stacks;
  config["width"] = layer.width;
  if (layer.ffn.groups() > 1) {
    config["groups"] = layer.ffn.groups();
    config["monarch"] = layer.ffn.monarch();
  }
  if (layer.ffn.has_routed()) config["routed"] = Fields(layer.ffn.routed());
  if (layer.ffn.has_merged()) config["merged"] = Fields(layer.ffn.merged());
  if (!IsBerts(layer.mixer))
    config["mixer"] = ordered_json{{EntryOf(layer.mixer).name, Fields(KindMessage(layer.mixer))}};
  return config;
}

ordered_json OurConfig(const Model& model) {
  ordered_json config;
  config["architectures"] = {ClassName(model, "Thimble", "ThimbleModel")};
  config["model_type"] = "thimble";
  config["vocab_size"] = model.shape.vocabulary;
  config["max_position_embeddings"] = model.shape.positions;
  config["hidden_size"] = model.shape.hidden;
  config["num_hidden_layers"] = model.shape.layers.size();
  config["num_attention_heads"] = model.shape.heads;
  config["pad_token_id"] = 0;
  // What follows is for modeling_thimble.py; we read architecture.textproto.
  const ResolvedArchitecture& shape = model.shape;
  config["type_vocab_size"] = shape.segments;
  config["pooler_size"] = shape.pooler;
  config["layer_norm_eps"] = shape.layer_norm_epsilon;
  config["embedding"] = EntryOf(shape.embedding).name;
  config["embedding_size"] = shape.embedding_width;
  config["bottleneck_size"] = shape.bottleneck;
  config["share_query_key"] = shape.share_query_key;
  if (!shape.position_table) config["position_table"] = false;
  config["norm"] = shape.no_norm ? "no_norm" : "layer_norm";
  config["blocks"] = ordered_json::array();
  for (const LayerShape& layer : shape.layers) config["blocks"].push_back(LayerConfig(layer));
  config["auto_map"] = {{"AutoConfig", "modeling_thimble.ThimbleConfig"},
                        {"AutoModel", "modeling_thimble.ThimbleModel"}};
  if (model.classes > 0)
    config["auto_map"][ClassName(model, "AutoModel", "")] =
        "modeling_thimble." + ClassName(model, "Thimble", "");
  return config;
}

void AddLabels(const std::vector<std::string>& names, TaskHead head, ordered_json* config) {
  ordered_json to_label = ordered_json::object(), to_id = ordered_json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    to_label[std::to_string(i)] = names[i];
    to_id[names[i]] = i;
  }
  (*config)["id2label"] = to_label;
  (*config)["label2id"] = to_id;
  if (head == TaskHead::kPooled)
    (*config)["problem_type"] = names.size() == 1 ? "regression" : "single_label_classification";
}

void AddSettings(const Settings& settings, ordered_json* config) {
  if (settings.null_threshold) (*config)["null_threshold"] = *settings.null_threshold;
  if (settings.max_length) (*config)["max_seq_length"] = *settings.max_length;
  if (!settings.reading) return;
  (*config)["doc_stride"] = settings.reading->document_stride();
  (*config)["max_query_length"] = settings.reading->max_query();
  (*config)["n_best_size"] = settings.reading->n_best();
  (*config)["max_answer_length"] = settings.reading->max_answer();
}

// "bert." heads every name but the classifier's in a model with a head, and none in a bare BertModel.
std::string NameInFile(const std::string& weight, const Model& model) {
  const std::string name = HuggingFaceName(weight, model.head);
  return model.classes > 0 && weight.compare(0, 5, "head.") != 0 ? "bert." + name : name;
}

}  // namespace

bool IsPlainBert(const Model& model) {
  return IsPlainBert(model.shape, model.classes == 0 || model.head == TaskHead::kPooled);
}

void SavePretrained(const Model& model, const std::vector<std::string>& label_names,
                    const std::string& directory, const Settings& settings) {
  THIMBLE_CHECK(label_names.size() == static_cast<size_t>(model.classes), "one name for each class");
  const bool bert = IsPlainBert(model);
  Weights tensors;
  const bool pooler = model.weights.Has("pooler.weight");
  for (const WeightShape& weight : WeightShapes(model.shape, pooler, model.classes, 0, model.head)) {
    const std::string name = bert ? NameInFile(weight.name, model) : weight.name;
    tensors.Add(name, model.weights.at(weight.name).detach().to(at::kFloat));
  }
  ordered_json config = bert ? BertConfig(model) : OurConfig(model);
  if (model.classes > 0) AddLabels(label_names, model.head, &config);
  AddSettings(settings, &config);
  config["torch_dtype"] = "float32";
  if (!bert) {
    WriteText(directory + "/architecture.textproto", model.architecture);
    WriteFileAtomically(directory + "/modeling_thimble.py", ModelingText(model.shape));
  }
  WriteSafetensors(directory + "/model.safetensors", tensors, {{"format", "pt"}});
  WriteFileAtomically(directory + "/config.json", config.dump(2) + "\n");
}

void CopyTokenizer(const std::string& from, const std::string& to) {
  for (const char* name : {"vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "added_tokens.json"}) {
    const std::string source = from + "/" + name;
    if (std::filesystem::exists(source)) WriteFileAtomically(to + "/" + name, ReadFile(source));
  }
  // A class in config.json decides which of these files count.
  const std::string source = from + "/config.json", target = to + "/config.json";
  if (!std::filesystem::exists(source) || !std::filesystem::exists(target)) return;
  const auto config = ParseJson(ReadFile(source), source, 64);
  if (!config.is_object() || !config.contains("tokenizer_class")) return;
  auto written = ordered_json::parse(ReadFile(target));
  written["tokenizer_class"] = config["tokenizer_class"];
  WriteFileAtomically(target, written.dump(2) + "\n");
}

}  // namespace thimble::models
