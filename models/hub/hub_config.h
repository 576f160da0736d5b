// config.json of a model's directory. Free of LibTorch.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/hub/hugging_face.h"
#include "proto/architecture.pb.h"

namespace thimble::models {

// "problem_type": how the outputs of a head for sentences are read.
enum class ProblemType {
  kUnstated,     // one output is a number, several are classes
  kSingleLabel,  // one of the classes
  kMultiLabel,   // each class for itself: yes or no
  kRegression,
};

// The names in a config.json by what becomes of them (models/hub/config_fields.h).
struct ConfigNames {
  std::vector<std::string> read, no_effect, unknown;
};

class HubConfig {
 public:
  // Error (exit 2) if `text` is no JSON object, its model_type is none of ours, or a field has a value that
  // is not computed here (FieldUse::kFixed). `path` is for messages.
  HubConfig(const std::string& path, std::string_view text);
  static HubConfig OfDirectory(const std::string& directory);

  const std::string& path() const { return path_; }
  const std::string& model_type() const { return model_type_; }
  // Nothing for our own: its architecture stands in architecture.textproto, its weights have our names.
  std::optional<Family> family() const { return family_; }

  // The encoder of a family's file, checked. Defaults of what may be left out: transformers'. Error (exit 2)
  // for what our encoder does not compute: relative positions, decoders, unknown activations.
  //   distilbert: no token types in the file; the architecture has two, for pairs of sentences. "dim" may
  //   stand as "hidden_size", "n_layers" and "n_heads" as BERT's, as transformers takes them. roberta: a
  //   position table without its first padding_idx + 1 rows, which no token has; at least two token types.
  //   mobilebert: values computed from the layer's input need queries and keys that share a bottleneck. With
  //   LayerNorm the epsilon must be 1e-5, which transformers gives to two of them whatever the file says.
  //   convbert: half of the heads convolve ("head_ratio" 2; with others the published code does not run).
  proto::Architecture Architecture() const;
  int SkippedPositions() const;  // rows of the file's position table that Architecture leaves out
  int FileSegments() const;      // rows of the file's token type table; 0: it has none

  // id2label, {"0": "name", ...} or ["name", ...]; Hugging Face leaves it out where it would be LABEL_0,
  // LABEL_1. Error unless it names `classes`; where it is left out, if "num_labels" is another number.
  std::vector<std::string> Labels(int classes) const;
  // label2id, {"name": 0, ...} or {"name": "0", ...}; -1 for what is no index. Empty where it is absent.
  std::vector<std::pair<std::string, int>> LabelIds() const;
  // The first of "architectures", such as BertForQuestionAnswering; empty where there is none.
  std::string ModelClass() const;
  bool AnswersQuestions() const;  // by ModelClass
  // Whether ModelClass has a classifier that is none of sentences: it labels tokens, or chooses among texts.
  bool ClassifiesOtherThings() const;
  ProblemType Problem() const;           // Error for a spelling that transformers does not know
  std::optional<int> NumLabels() const;  // "num_labels", of old files
  // MobileBERT's "classifier_activation": without, the classifier reads a state, and a pooler says nothing.
  bool ReadsPooler() const;
  ConfigNames Names() const;
  std::optional<double> Number(const char* key) const;
  std::string Activation() const;  // of a family, as config.json spells it

 private:
  void CheckFixed() const;
  int Int(const char* key, int missing = 0, int least = 1) const;
  int IntOf(const char* key, const char* also) const;
  std::string Text(const char* key, const std::string& missing) const;
  bool Flag(const char* key, bool missing = false) const;
  void AddMobileBert(proto::Architecture* architecture) const;
  void AddNarrowEmbedding(int missing, proto::Architecture* architecture) const;
  void AddConvBert(proto::Architecture* architecture) const;

  std::string path_, model_type_;
  std::optional<Family> family_;
  nlohmann::json json_;
};

}  // namespace thimble::models
