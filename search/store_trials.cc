#include "search/store_trials.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/config.h"
#include "base/error.h"
#include "models/encoder/kinds.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

using Json = nlohmann::ordered_json;  // keeps "name" before "attributes", as Optuna writes them

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Text that came from elsewhere (an error's message) may hold bytes that are not UTF-8; JSON may not.
std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const char* StateName(TrialState state) {
  switch (state) {
    case TrialState::kComplete:
      return "COMPLETE";
    case TrialState::kPruned:
    case TrialState::kLeft:
      return "PRUNED";
    case TrialState::kFail:
      return "FAIL";
  }
  return "";
}

// Optuna's times are local, without a zone.
std::string LocalTime(std::chrono::system_clock::time_point time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(micros / 1000000);
  std::tm parts;
  localtime_r(&seconds, &parts);
  char day[32], text[48];
  std::strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &parts);
  std::snprintf(text, sizeof(text), "%s.%06d", day, static_cast<int>(micros % 1000000));
  return text;
}

// JSON has no infinity: written as text. A NaN is written as null.
Json Number(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

// Nothing: neither a number nor what Number writes in place of one.
std::optional<double> ReadNumber(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

bool Varies(const proto::Stage& stage, proto::Stage::Vary what) {
  return std::find(stage.vary().begin(), stage.vary().end(), what) != stage.vary().end();
}

constexpr char kRowsKey[] = "thimble:rows";

struct Parameter {
  std::string name;
  int choice = 0;  // Optuna stores a categorical as its choice's index
  std::string distribution;
};

template <typename Choices, typename Value>
Parameter Categorical(const std::string& name, const Choices& choices, const Value& value) {
  const auto at = std::find(choices.begin(), choices.end(), value);
  THIMBLE_CHECK(at != choices.end(),
                name + " of a trial is none of the space's choices: " + Dump(Json(value)));
  Json list = Json::array();
  for (const auto& choice : choices) list.push_back(choice);
  const Json distribution = {{"name", "CategoricalDistribution"}, {"attributes", {{"choices", list}}}};
  return {name, static_cast<int>(at - choices.begin()), Dump(distribution)};
}

// The same at every hidden width: Optuna's parameters have the same choices in all trials.
std::string MixerText(proto::Mixer mixer, const proto::Space& space) {
  if (mixer.has_self_attention() && mixer.self_attention().head_width() == space.head_width() &&
      space.head_width() > 0) {
    auto* attention = mixer.mutable_self_attention();
    attention->clear_head_width();
    if (attention->heads() == space.heads()) attention->clear_heads();
  }
  return models::TextOf(mixer);
}

std::vector<Parameter> Parameters(const proto::Architecture& architecture, const proto::Stage& stage,
                                  const proto::Space& space) {
  std::vector<Parameter> parameters;
  if (Varies(stage, proto::Stage::HIDDEN))
    parameters.push_back(Categorical("hidden", space.hidden(), architecture.hidden()));
  if (Varies(stage, proto::Stage::LAYERS))
    parameters.push_back(Categorical("layers", space.layers(), architecture.layer_size()));
  if (Varies(stage, proto::Stage::EMBEDDING)) {
    std::vector<std::string> embeddings;
    std::string own;
    for (const auto& embedding : space.embedding()) {
      embeddings.push_back(embedding.ShortDebugString());
      if (SameEmbedding(embedding, architecture.embedding())) own = embeddings.back();
    }
    parameters.push_back(Categorical("embedding", embeddings, own));
  }
  for (int i = 0; i < architecture.layer_size(); ++i) {
    const auto choices = LayerChoices(space, i);
    const auto& ffn = architecture.layer(i).ffn();
    const std::string prefix = "layer" + std::to_string(i) + "/";
    if (Varies(stage, proto::Stage::STACKS))
      parameters.push_back(Categorical(prefix + "stacks", choices.ffn().stacks(), ffn.stacks()));
    if (Varies(stage, proto::Stage::RATIO) && choices.ffn().width().empty())
      parameters.push_back(Categorical(prefix + "ratio", choices.ffn().ratio(), ffn.ratio()));
    if (Varies(stage, proto::Stage::RATIO) && !choices.ffn().width().empty())
      parameters.push_back(Categorical(prefix + "width", choices.ffn().width(), ffn.width()));
    if (Varies(stage, proto::Stage::FORM) && !ffn.has_none()) {
      std::vector<std::string> forms;
      for (const auto& form : choices.ffn().form()) forms.push_back(FormText(form));
      parameters.push_back(Categorical(prefix + "form", forms, FormText(FormOf(ffn))));
    }
    if (Varies(stage, proto::Stage::MIXER)) {
      std::vector<std::string> mixers;
      for (const auto& mixer : choices.mixer()) mixers.push_back(MixerText(mixer, space));
      parameters.push_back(
          Categorical(prefix + "mixer", mixers, MixerText(architecture.layer(i).mixer(), space)));
    }
  }
  return parameters;
}

std::vector<std::pair<std::string, std::string>> Attributes(const StoredTrial& stored) {
  std::vector<std::pair<std::string, std::string>> attributes;
  const auto add = [&](const std::string& key, const Json& value) {
    attributes.emplace_back(key, Dump(value));
  };
  add("architecture", CanonicalText(stored.trial.architecture));
  for (int i = 0; i < stored.trial.architecture.layer_size(); ++i)
    add("layer" + std::to_string(i) + "/expression", stored.trial.architecture.layer(i).ffn().expression());
  add("round", stored.round);
  add("deployed_parameters", stored.deployed_parameters);
  add("seconds", stored.seconds);
  if (!std::isnan(stored.filter_score)) add("filter_score", Number(stored.filter_score));
  if (stored.trial.state == TrialState::kLeft) add("left_after", stored.left_after);
  if (stored.trial.scored()) add("standard_error", Number(stored.trial.standard_error));
  if (stored.again_of >= 0) add("again_of", stored.again_of);
  if (!stored.epochs.empty()) {
    Json epochs = Json::array();
    for (const auto& [loss, score] : stored.epochs) {
      Json epoch = {{"loss", Number(loss)}};
      if (!std::isnan(score)) epoch["score"] = Number(score);
      epochs.push_back(epoch);
    }
    add("epochs", epochs);
  }
  if (!stored.reason.empty()) add("reason", stored.reason);
  if (!stored.trial.origin.empty()) add("origin", stored.trial.origin);
  if (!stored.metrics.empty()) {
    THIMBLE_CHECK(Json::accept(stored.metrics), stored.metrics);
    attributes.emplace_back("metrics", stored.metrics);
  }
  return attributes;
}

// Reads one trial's attributes out of an untrusted file.
class TrialReader {
 public:
  TrialReader(std::string where, const std::map<std::string, std::string>& attributes)
      : where_(std::move(where)), attributes_(attributes) {}

  double Real(const std::string& key, double missing) const {
    if (attributes_.count(key) == 0) return missing;
    if (const auto number = ReadNumber(Parsed(key))) return *number;
    throw Bad(key, "not a number");
  }
  std::vector<EpochScore> Epochs() const {
    if (!Has("epochs")) return {};
    const Json list = Parsed("epochs");
    if (!list.is_array()) throw Bad("epochs", "no list");
    std::vector<EpochScore> epochs;
    for (const Json& each : list) {
      if (!each.is_object() || !each.contains("loss")) throw Bad("epochs", "no list of objects with a loss");
      const auto number = [&](const char* name) {
        return each.contains(name) ? ReadNumber(each[name]).value_or(kNaN) : kNaN;
      };
      epochs.push_back({.loss = number("loss"), .score = number("score")});
    }
    return epochs;
  }
  bool Has(const std::string& key) const { return attributes_.count(key) > 0; }
  int64_t Integer(const std::string& key) const {
    const Json value = Parsed(key);
    if (!value.is_number_integer()) throw Bad(key, "not an integer");
    return value.get<int64_t>();
  }
  std::string Text(const std::string& key) const {
    const Json value = Parsed(key);
    if (!value.is_string()) throw Bad(key, "not a text");
    return value.get<std::string>();
  }
  std::string TextOrEmpty(const std::string& key) const {
    return attributes_.count(key) == 0 ? "" : Text(key);
  }
  std::string Object(const std::string& key) const {  // as it was written; empty if absent
    if (attributes_.count(key) == 0) return "";
    if (!Parsed(key).is_object()) throw Bad(key, "not a JSON object");
    return attributes_.at(key);
  }

 private:
  Error Bad(const std::string& key, const std::string& problem) const {
    return BadRequest(where_, "user attribute \"" + key + "\" is " + problem);
  }
  Json Parsed(const std::string& key) const {
    const auto found = attributes_.find(key);
    if (found == attributes_.end()) throw Bad(key, "missing; only thimble may add trials to its studies");
    Json value = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) throw Bad(key, "no JSON");
    return value;
  }

  std::string where_;
  const std::map<std::string, std::string>& attributes_;
};

TrialState ReadState(const std::string& name, const std::string& where) {
  for (const auto state : {TrialState::kComplete, TrialState::kPruned, TrialState::kFail})
    if (name == StateName(state)) return state;
  throw BadRequest(where, "a trial that thimble did not write", "state \"" + name + "\"",
                   "COMPLETE, PRUNED, FAIL");
}

}  // namespace

void InsertTrial(Database& db, int stage, const StoredTrial& stored, const proto::Stage& spec,
                 const proto::Space& space) {
  const auto now = std::chrono::system_clock::now();
  const auto took = std::chrono::duration_cast<std::chrono::system_clock::duration>(
      std::chrono::duration<double>(std::isfinite(stored.seconds) ? stored.seconds : 0));
  Statement(db,
            "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
            "VALUES (?1, ?2, ?3, ?4, ?5)")
      .Bind(stored.number, stage, StateName(stored.trial.state), LocalTime(now - took), LocalTime(now))
      .Run();
  const int64_t trial = db.LastRow();
  Statement parameter(db,
                      "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
                      "VALUES (?1, ?2, ?3, ?4)");
  // A ready checkpoint is none of the space's points.
  const auto parameters = stored.trial.origin == kReady ? std::vector<Parameter>()
                                                        : Parameters(stored.trial.architecture, spec, space);
  for (const auto& p : parameters)
    parameter.Bind(trial, p.name, static_cast<double>(p.choice), p.distribution).Run();
  Statement attribute(db,
                      "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)");
  for (const auto& [key, json] : Attributes(stored)) attribute.Bind(trial, key, json).Run();
  // Many numbers, for comparing in pairs: not among what Optuna's tools show.
  if (!stored.rows.empty()) {
    Json numbers = Json::array();
    for (const float row : stored.rows) {
      char text[32];
      std::snprintf(text, sizeof text, "%.6g", static_cast<double>(row));
      numbers.push_back(std::strtod(text, nullptr));  // six digits are more than enough, and short
    }
    Statement(db, "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)")
        .Bind(trial, kRowsKey, Dump(numbers))
        .Run();
  }
  const auto insert = [&](const std::string& columns, int number, double value) {
    Statement statement(db, ("INSERT INTO " + columns + " VALUES (?1, ?2, ?3, ?4)").c_str());
    if (std::isinf(value))
      statement.Bind(trial, number, nullptr, value > 0 ? "INF_POS" : "INF_NEG").Run();
    else
      statement.Bind(trial, number, value, "FINITE").Run();
  };
  // What Optuna's tools draw as a learning curve. Its pruned trials have their last intermediate value as
  // their value.
  const std::string intermediate =
      "trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)";
  const int last = stored.trial.state == TrialState::kLeft ? stored.left_after : 0;
  for (size_t i = 0; i < stored.epochs.size(); ++i)
    if (const int step = static_cast<int>(i) + 1; step != last && !std::isnan(stored.epochs[i].score))
      insert(intermediate, step, stored.epochs[i].score);
  if (!stored.trial.scored()) return;
  THIMBLE_CHECK(!std::isnan(stored.trial.value), "a trial that was scored has a value");
  insert("trial_values (trial_id, objective, value, value_type)", 0, stored.trial.value);
  if (last > 0) insert(intermediate, last, stored.trial.value);
}

std::vector<StoredTrial> ReadTrials(Database& db, int stage) {
  Transaction transaction(db, Transaction::kRead);  // the queries see one state of the file
  std::map<int64_t, std::map<std::string, std::string>> attributes;
  Statement read(db,
                 "SELECT trial_id, key, value_json FROM trials JOIN trial_user_attributes USING (trial_id) "
                 "WHERE study_id = ?1");
  read.Bind(stage);
  while (read.Step()) attributes[read.Integer(0)][read.Text(1)] = read.Text(2);

  std::map<int64_t, std::string> row_scores;
  Statement read_rows(db,
                      "SELECT trial_id, value_json FROM trials JOIN trial_system_attributes USING (trial_id) "
                      "WHERE study_id = ?1 AND key = ?2");
  read_rows.Bind(stage, kRowsKey);
  while (read_rows.Step()) row_scores[read_rows.Integer(0)] = read_rows.Text(1);

  std::vector<StoredTrial> trials;
  Statement rows(db,
                 "SELECT trial_id, number, state, value, value_type FROM trials LEFT JOIN trial_values "
                 "USING (trial_id) WHERE study_id = ?1 ORDER BY number");
  rows.Bind(stage);
  while (rows.Step()) {
    const int number = static_cast<int>(trials.size());
    const std::string where = db.path() + ", trial " + std::to_string(number);
    if (rows.Integer(1) != number)
      throw BadRequest(where, "trial numbers do not follow each other", std::to_string(rows.Integer(1)));
    const TrialReader reader(where, attributes[rows.Integer(0)]);
    StoredTrial stored{.number = number, .round = static_cast<int>(reader.Integer("round"))};
    stored.trial.state = ReadState(rows.Text(2), where);
    ParseText(reader.Text("architecture"), where + ", architecture", &stored.trial.architecture);
    if (stored.trial.state == TrialState::kPruned && reader.Has("left_after")) {
      stored.trial.state = TrialState::kLeft;
      stored.left_after = static_cast<int>(reader.Integer("left_after"));
    }
    stored.trial.value = kNaN;
    if (stored.trial.scored()) {
      const std::string type = rows.Text(4);
      if (type == "INF_POS" || type == "INF_NEG")
        stored.trial.value = (type == "INF_POS" ? 1 : -1) * std::numeric_limits<double>::infinity();
      else if (type == "FINITE" && !rows.IsNull(3))
        stored.trial.value = rows.Real(3);
      else
        throw BadRequest(where, "a scored trial without a value");
      stored.trial.standard_error = reader.Real("standard_error", 0);
    }
    stored.deployed_parameters = reader.Integer("deployed_parameters");
    stored.filter_score = reader.Real("filter_score", kNaN);
    stored.metrics = reader.Object("metrics");
    stored.epochs = reader.Epochs();
    stored.reason = reader.TextOrEmpty("reason");
    stored.trial.origin = reader.TextOrEmpty("origin");
    if (const auto kept = row_scores.find(rows.Integer(0)); kept != row_scores.end()) {
      const Json numbers = Json::parse(kept->second, nullptr, /*allow_exceptions=*/false);
      if (!numbers.is_array() ||
          !std::all_of(numbers.begin(), numbers.end(), [](const Json& each) { return each.is_number(); }))
        throw BadRequest(where, std::string("system attribute \"") + kRowsKey + "\" is no list of numbers");
      stored.rows = numbers.get<std::vector<float>>();
    }
    stored.seconds = reader.Real("seconds", 0);
    if (reader.Has("again_of")) {
      const int64_t first = reader.Integer("again_of");
      if (first < 0 || first >= number || trials[first].again_of >= 0)
        throw BadRequest(where, "repeats a trial that is not before it, or a repeat", std::to_string(first));
      stored.again_of = static_cast<int>(first);
    } else if (!trials.empty() && trials.back().again_of >= 0) {
      throw BadRequest(where, "comes behind repeats, which are the last");
    }
    trials.push_back(std::move(stored));
  }
  return trials;
}

}  // namespace thimble::search
