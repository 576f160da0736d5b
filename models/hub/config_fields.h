// What becomes of the fields of config.json, by name. Free of LibTorch.
#pragma once
#include <optional>
#include <string_view>

#include "models/hub/hugging_face.h"

namespace thimble::models {

enum class FieldUse {
  kRead,      // the encoder, its head, or how its outputs are read follows from it
  kFixed,     // one value is computed here (or null); another is an Error that names the field
  kNoEffect,  // on an answer: dropout, where weights begin, what Python returns
};

struct ConfigField {
  std::string_view name;
  FieldUse use;
  std::string_view only;  // of kFixed: the value, as JSON
};

// All fields that transformers 5.23 gives a configuration of the family (tests/golden/config_fields.json
// holds them), those that published files of older versions carry, and
// ours. Of no family: what SavePretrained
// writes for a student of ours, where architecture.textproto says most. nullptr: unknown, so ignored.
const ConfigField* FindConfigField(std::optional<Family> family, std::string_view name);

}  // namespace thimble::models
