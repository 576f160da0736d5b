#include "models/hub/hub_config.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/arch/architecture.h"
#include "models/encoder/bert.h"
#include "models/encoder/resolve.h"
#include "models/hub/config_fields.h"
#include "models/hub/json.h"

namespace thimble::models {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr size_t kMaxBytes = size_t{1} << 24;  // a name for each of 100,000 labels takes 3 MB
constexpr int kMaxLayers = 1000;
constexpr char kOurs[] = "thimble";

std::string Show(const json& value) {
  constexpr size_t kMost = 200;
  const std::string text = value.dump();
  return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
}

// Where families write the same thing under other names.
struct Keys {
  const char *hidden, *layers, *heads, *ffn_hidden, *activation;
};
constexpr Keys kBertKeys = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                            "hidden_act"};
constexpr Keys kDistilBertKeys = {"dim", "n_layers", "n_heads", "hidden_dim", "activation"};

constexpr std::pair<const char*, ProblemType> kProblemTypes[] = {
    {"single_label_classification", ProblemType::kSingleLabel},
    {"multi_label_classification", ProblemType::kMultiLabel},
    {"regression", ProblemType::kRegression}};

// -1 for what is no whole number from 0.
int64_t WholeNumber(const std::string& text) {
  int64_t number = -1;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && last == end ? number : -1;
}

}  // namespace

HubConfig::HubConfig(const std::string& path, std::string_view text) : path_(path) {
  if (text.size() > kMaxBytes) throw BadRequest(path_, "too long", std::to_string(text.size()) + " bytes");
  json_ = ParseJson(text, path_, kMaxDepth);
  if (!json_.is_object()) throw BadRequest(path_, "not a JSON object");
  model_type_ = Text("model_type", "");
  family_ = FamilyOfModelType(model_type_);
  if (!family_ && model_type_ != kOurs)
    throw BadRequest(path_, "unknown 'model_type'", "'" + model_type_.substr(0, 60) + "'",
                     ModelTypes() + ", " + kOurs);
  CheckFixed();
}

// Null is as good as absent, which is as good as the only value.
void HubConfig::CheckFixed() const {
  for (const auto& [key, value] : json_.items()) {
    const ConfigField* field = FindConfigField(family_, key);
    if (field == nullptr || field->use != FieldUse::kFixed || value.is_null()) continue;
    const json only = json::parse(field->only);
    if (value != only)
      throw BadRequest(path_, "'" + key + "' is not supported", Show(value),
                       only.is_object() ? "null, or the field left out" : Show(only));
  }
}

HubConfig HubConfig::OfDirectory(const std::string& directory) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored))
    throw BadRequest(directory, "not a directory", "", "a directory with config.json and model.safetensors");
  const std::string path = directory + "/config.json";
  return HubConfig(path, ReadFile(path));
}

// A number from `least` on; `missing` 0: required.
int HubConfig::Int(const char* key, int missing, int least) const {
  const auto found = json_.find(key);
  if (found == json_.end() && missing > 0) return missing;
  if (found == json_.end()) throw BadRequest(path_, std::string("'") + key + "' is missing");
  constexpr uint64_t kMost = 10'000'000;
  if (!found->is_number_unsigned() || found->get<uint64_t>() < static_cast<uint64_t>(least) ||
      found->get<uint64_t>() > kMost) {
    throw BadRequest(path_, std::string("'") + key + "' is out of range", Show(*found),
                     "a whole number from " + std::to_string(least) + " to " + std::to_string(kMost));
  }
  return found->get<int>();
}

std::string HubConfig::Text(const char* key, const std::string& missing) const {
  const auto found = json_.find(key);
  if (found == json_.end() || found->is_null()) return missing;
  if (!found->is_string())
    throw BadRequest(path_, std::string("'") + key + "' is not a string", Show(*found));
  return found->get<std::string>();
}

bool HubConfig::Flag(const char* key, bool missing) const {
  const auto found = json_.find(key);
  if (found == json_.end() || found->is_null()) return missing;
  if (!found->is_boolean())
    throw BadRequest(path_, std::string("'") + key + "' is neither true nor false", Show(*found));
  return found->get<bool>();
}

// A number that must be there, under one of two names; under both it must be the same.
int HubConfig::IntOf(const char* key, const char* also) const {
  if (std::string_view(key) == also || !json_.contains(also)) return Int(key);
  const int value = Int(also);
  if (json_.contains(key) && Int(key) != value)
    throw BadRequest(path_, std::string("'") + key + "' and '" + also + "' are two names of one number",
                     std::to_string(Int(key)) + " and " + std::to_string(value));
  return value;
}

std::string HubConfig::Activation() const {
  const bool distilbert = family_ == Family::kDistilBert;
  return Text((distilbert ? kDistilBertKeys : kBertKeys).activation,
              family_ == Family::kMobileBert ? "relu" : "gelu");
}

std::optional<double> HubConfig::Number(const char* key) const {
  const auto found = json_.find(key);
  if (found == json_.end() || found->is_null()) return {};
  if (!found->is_number())
    throw BadRequest(path_, std::string("'") + key + "' is not a number", Show(*found));
  return found->get<double>();
}

int HubConfig::SkippedPositions() const {
  // RobertaEmbeddings gives padding the position padding_idx, and the first token the one behind it.
  return family_ == Family::kRoberta ? Int("pad_token_id", 1, 0) + 1 : 0;
}

int HubConfig::FileSegments() const { return family_ == Family::kDistilBert ? 0 : Int("type_vocab_size", 2); }

// Embedding, bottleneck, norm and stacks.
void HubConfig::AddMobileBert(proto::Architecture* architecture) const {
  const int width = Int("embedding_size", 128);
  if (Flag("trigram_input", true)) {
    architecture->mutable_embedding()->mutable_trigram()->set_width(width);
  } else if (width != architecture->hidden()) {
    architecture->mutable_embedding()->mutable_factorised()->set_width(width);
  }
  const std::string norm = Text("normalization_type", "no_norm");
  if (norm != "no_norm" && norm != "layer_norm")
    throw BadRequest(path_, "unknown 'normalization_type'", "'" + norm + "'", "no_norm, layer_norm");
  constexpr double kTransformersEpsilon = 1e-5;
  if (norm == "layer_norm" && architecture->layer_norm_epsilon() != kTransformersEpsilon)
    throw BadRequest(path_, "'layer_norm_eps' is not that of all the model's LayerNorms",
                     std::to_string(architecture->layer_norm_epsilon()), "1e-5 with layer_norm");
  if (norm == "no_norm") architecture->set_norm(proto::NO_NORM);
  if (Flag("use_bottleneck", true)) {
    proto::Bottleneck* bottleneck = architecture->mutable_bottleneck();
    bottleneck->set_width(Int("intra_bottleneck_size", 128));
    if (!Flag("use_bottleneck_attention")) {
      if (!Flag("key_query_shared_bottleneck", true))
        throw BadRequest(path_, "'key_query_shared_bottleneck' is not supported", "false",
                         "true, or 'use_bottleneck_attention'");
      bottleneck->set_share_query_key(true);
    }
  }
  for (proto::Layer& layer : *architecture->mutable_layer())
    layer.mutable_ffn()->set_stacks(Int("num_feedforward_networks", 4));
}

// Tables and norm at their own width, then a linear; none where that is the hidden one.
void HubConfig::AddNarrowEmbedding(int missing, proto::Architecture* architecture) const {
  if (const int width = Int("embedding_size", missing); width != architecture->hidden())
    architecture->mutable_embedding()->mutable_narrow()->set_width(width);
}

void HubConfig::AddConvBert(proto::Architecture* architecture) const {
  for (proto::Layer& layer : *architecture->mutable_layer()) {
    layer.mutable_mixer()->mutable_span_convolution()->set_kernel(Int("conv_kernel_size", 9));
    if (const int groups = Int("num_groups", 1); groups > 1) layer.mutable_ffn()->set_groups(groups);
  }
}

proto::Architecture HubConfig::Architecture() const {
  THIMBLE_CHECK(family_.has_value(), "the architecture of " + model_type_ + " stands in another file");
  const Keys& keys = family_ == Family::kDistilBert ? kDistilBertKeys : kBertKeys;
  const std::string activation = Activation();
  const std::string expression = ExpressionOfActivation(activation);
  if (expression.empty())
    throw BadRequest(path_, std::string("unknown '") + keys.activation + "'", "'" + activation + "'",
                     AcceptedActivations());
  const int layers = IntOf(keys.layers, kBertKeys.layers);
  if (layers > kMaxLayers)
    throw BadRequest(path_, std::string("'") + keys.layers + "' is out of range", std::to_string(layers),
                     "up to " + std::to_string(kMaxLayers));
  const int positions = Int("max_position_embeddings", 512), skipped = SkippedPositions();
  if (positions <= skipped)
    throw BadRequest(path_, "'max_position_embeddings' leaves no position behind 'pad_token_id'",
                     std::to_string(positions), "from " + std::to_string(skipped + 1));
  proto::Architecture architecture;
  architecture.set_vocabulary(Int("vocab_size"));
  architecture.set_positions(positions - skipped);
  // A pair's second sentence has token type 1, whatever the teacher knows of types.
  const bool as_it_is = family_ != Family::kDistilBert && family_ != Family::kRoberta;
  architecture.set_segments(as_it_is ? FileSegments() : std::max(FileSegments(), 2));
  architecture.set_hidden(IntOf(keys.hidden, kBertKeys.hidden));
  architecture.set_heads(IntOf(keys.heads, kBertKeys.heads));
  architecture.set_ffn_hidden(Int(keys.ffn_hidden));
  // DistilBERT's is no matter of its configuration.
  architecture.set_layer_norm_epsilon(
      family_ == Family::kDistilBert ? 1e-12 : Number("layer_norm_eps").value_or(1e-12));
  architecture.mutable_embedding()->mutable_plain();
  for (int i = 0; i < layers; ++i) {
    proto::Layer* layer = architecture.add_layer();
    layer->mutable_mixer()->mutable_self_attention();
    layer->mutable_ffn()->set_expression(expression);
  }
  if (family_ == Family::kMobileBert) AddMobileBert(&architecture);
  if (family_ == Family::kElectra) AddNarrowEmbedding(128, &architecture);
  if (family_ == Family::kConvBert) {
    AddNarrowEmbedding(768, &architecture);
    AddConvBert(&architecture);
  }
  Validate(architecture, path_);
  Resolve(architecture, path_);
  return architecture;
}

std::vector<std::string> HubConfig::Labels(int classes) const {
  const auto found = json_.find("id2label");
  const bool given = found != json_.end() && !found->is_null();
  const bool list = given && found->is_array();
  if (given && ((!found->is_object() && !list) || found->size() != static_cast<size_t>(classes)))
    throw BadRequest(path_, "'id2label' does not name the outputs of the head", Show(*found),
                     std::to_string(classes) + " names, keys 0 to " + std::to_string(classes - 1));
  if (!given && NumLabels().value_or(classes) != classes)
    throw BadRequest(path_, "'num_labels' is not the number of the head's outputs",
                     std::to_string(*NumLabels()), std::to_string(classes));
  std::vector<std::string> names;
  for (int i = 0; i < classes; ++i) {
    const std::string key = std::to_string(i);
    if (!given) {
      names.push_back("LABEL_" + key);
      continue;
    }
    const json* name = list ? &(*found)[i] : found->contains(key) ? &(*found)[key] : nullptr;
    if (name == nullptr || !name->is_string())
      throw BadRequest(path_, "'id2label' has no name for class " + key, Show(*found));
    names.push_back(name->get<std::string>());
  }
  return names;
}

std::vector<std::pair<std::string, int>> HubConfig::LabelIds() const {
  std::vector<std::pair<std::string, int>> ids;
  const auto found = json_.find("label2id");
  if (found == json_.end() || !found->is_object()) return ids;
  constexpr int64_t kMost = 10'000'000;
  for (const auto& [name, id] : found->items()) {
    int64_t index = -1;
    if (id.is_number_integer()) index = id.get<int64_t>();
    if (id.is_string())
      index = WholeNumber(id.get_ref<const std::string&>());  // as some published models have it
    ids.emplace_back(name, index >= 0 && index <= kMost ? static_cast<int>(index) : -1);
  }
  return ids;
}

std::optional<int> HubConfig::NumLabels() const {
  const auto found = json_.find("num_labels");
  if (found == json_.end() || found->is_null()) return {};
  return Int("num_labels");
}

std::string HubConfig::ModelClass() const {
  const auto found = json_.find("architectures");
  if (found == json_.end() || found->is_null() || (found->is_array() && found->empty())) return "";
  if (!found->is_array() || !found->front().is_string())
    throw BadRequest(path_, "'architectures' is no list of names", Show(*found));
  return found->front().get<std::string>();
}

bool HubConfig::AnswersQuestions() const { return ModelClass().ends_with("ForQuestionAnswering"); }

bool HubConfig::ClassifiesOtherThings() const {
  const std::string name = ModelClass();
  return name.ends_with("ForTokenClassification") || name.ends_with("ForMultipleChoice");
}

ProblemType HubConfig::Problem() const {
  const std::string stated = Text("problem_type", "");
  if (stated.empty()) return ProblemType::kUnstated;
  std::string known;
  for (const auto& [name, problem] : kProblemTypes) {
    if (stated == name) return problem;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw BadRequest(path_, "unknown 'problem_type'", "'" + stated.substr(0, 60) + "'", known);
}

bool HubConfig::ReadsPooler() const {
  return family_ != Family::kMobileBert || Flag("classifier_activation", true);
}

ConfigNames HubConfig::Names() const {
  ConfigNames names;
  for (const auto& [key, value] : json_.items()) {
    const ConfigField* field = FindConfigField(family_, key);
    (field == nullptr                    ? names.unknown
     : field->use == FieldUse::kNoEffect ? names.no_effect
                                         : names.read)
        .push_back(key);
  }
  return names;
}

}  // namespace thimble::models
