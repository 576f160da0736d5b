#include "models/hub/settings.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "models/hub/hub_config.h"

namespace thimble::models {
namespace {

constexpr int kShortest = 5;         // room for [CLS], two [SEP] and a token of each text
constexpr int kLongest = 1'000'000;  // no encoder reads more

std::optional<int> WholeNumber(const HubConfig& config, const char* key, int least, int most) {
  const auto number = config.Number(key);
  if (!number) return {};
  if (std::floor(*number) != *number || *number < least || *number > most)
    throw BadRequest(config.path(), std::string("'") + key + "' is out of range", std::to_string(*number),
                     "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<int>(*number);
}

std::optional<proto::SpanReading> Reading(const HubConfig& config) {
  const auto number = [&](const char* key) { return WholeNumber(config, key, 1, kLongest); };
  const auto stride = number("doc_stride"), query = number("max_query_length"),
             n_best = number("n_best_size"), answer = number("max_answer_length");
  if (!stride && !query && !n_best && !answer) return {};
  proto::SpanReading reading;
  if (stride) reading.set_document_stride(*stride);
  if (query) reading.set_max_query(*query);
  if (n_best) reading.set_n_best(*n_best);
  if (answer) reading.set_max_answer(*answer);
  Validate(reading, config.path());
  return reading;
}

std::optional<int> ModelMaxLength(const std::string& directory) {
  const std::string path = directory + "/tokenizer_config.json";
  if (!std::filesystem::is_regular_file(path)) return {};
  // What is no JSON at all is refused where text is read.
  const auto json = nlohmann::json::parse(ReadFile(path), nullptr, false);
  const auto found = json.is_object() ? json.find("model_max_length") : json.end();
  if (found == json.end() || !found->is_number()) return {};
  const auto length = found->get<double>();
  return length >= kShortest && length <= kLongest ? std::optional(static_cast<int>(length)) : std::nullopt;
}

}  // namespace

Settings ReadSettings(const HubConfig& config, const std::string& directory) {
  return {.max_length = WholeNumber(config, "max_seq_length", kShortest, kLongest),
          .null_threshold = config.Number("null_threshold"),
          .reading = Reading(config),
          .model_max_length = ModelMaxLength(directory)};
}

}  // namespace thimble::models
