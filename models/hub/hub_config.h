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

class HubConfig {
 public:
  // Error (exit 2) if `text` is no JSON object or its model_type is none of ours. `path` is for messages.
  HubConfig(const std::string& path, std::string_view text);
  static HubConfig OfDirectory(const std::string& directory);

  const std::string& path() const { return path_; }
  const std::string& model_type() const { return model_type_; }
  // Nothing for our own: its architecture stands in architecture.textproto, its weights have our names.
  std::optional<Family> family() const { return family_; }

  // Of a family: the encoder, checked. Defaults of what may be left out: transformers'. Error (exit 2) for
  // what our encoder does not compute: relative positions, decoders, unknown activations.
  //   distilbert: no token types in the file; the architecture has two, for pairs of sentences.
  //   roberta: a position table without its first padding_idx + 1 rows, which no token has; at least two
  //   token types.
  //   mobilebert: values computed from the layer's input need queries and keys that share a bottleneck. With
  //   LayerNorm the epsilon must be 1e-5, which transformers gives to two of them whatever the file says.
  proto::Architecture Architecture() const;
  int SkippedPositions() const;  // rows of the file's position table that Architecture leaves out
  int FileSegments() const;      // rows of the file's token type table; 0: it has none

  // id2label, {"0": "name", ...} or ["name", ...]; Hugging Face leaves it out where it would be LABEL_0,
  // LABEL_1. Error unless it names `classes`.
  std::vector<std::string> Labels(int classes) const;
  // label2id, {"name": 0, ...} or {"name": "0", ...}; -1 for what is no index. Empty where it is absent.
  std::vector<std::pair<std::string, int>> LabelIds() const;
  // Whether the first of "architectures" is a model that answers questions.
  bool AnswersQuestions() const;
  std::optional<double> Number(const char* key) const;
  std::string Activation() const;  // of a family, as config.json spells it

 private:
  int Int(const char* key, int missing = 0, int least = 1) const;
  std::string Text(const char* key, const std::string& missing) const;
  bool Flag(const char* key, bool missing = false) const;
  void AddMobileBert(proto::Architecture* architecture) const;

  std::string path_, model_type_;
  std::optional<Family> family_;
  nlohmann::json json_;
};

}  // namespace thimble::models
