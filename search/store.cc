#include "search/store.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "models/encoder/kinds.h"
#include "search/sqlite.h"
#include "search/store_schema.h"

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

// JSON has no infinity: written as text.
Json Number(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

bool Varies(const proto::Stage& stage, proto::Stage::Vary what) {
  return std::find(stage.vary().begin(), stage.vary().end(), what) != stage.vary().end();
}

struct Parameter {
  std::string name;
  int choice = 0;  // Optuna stores a categorical as its choice's index
  std::string distribution;
};

template <typename Choices, typename Value>
Parameter Categorical(const std::string& name, const Choices& choices, const Value& value) {
  const auto at = std::find(choices.begin(), choices.end(), value);
  THIMBLE_CHECK(at != choices.end(), name + " of a trial is none of the space's choices");
  Json list = Json::array();
  for (const auto& choice : choices) list.push_back(choice);
  const Json distribution = {{"name", "CategoricalDistribution"}, {"attributes", {{"choices", list}}}};
  return {name, static_cast<int>(at - choices.begin()), Dump(distribution)};
}

std::vector<Parameter> Parameters(const proto::Architecture& architecture, const proto::Stage& stage,
                                  const proto::Space& space) {
  std::vector<Parameter> parameters;
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
    if (Varies(stage, proto::Stage::MIXER)) {
      std::vector<std::string> mixers;
      for (const auto& mixer : choices.mixer()) mixers.push_back(models::TextOf(mixer));
      parameters.push_back(Categorical(prefix + "mixer", mixers, models::TextOf(architecture.layer(i).mixer())));
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
  if (stored.trial.state == TrialState::kComplete) add("standard_error", Number(stored.trial.standard_error));
  if (!stored.reason.empty()) add("reason", stored.reason);
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
    const Json value = Parsed(key);
    if (value.is_number()) return value.get<double>();
    if (value == "inf") return std::numeric_limits<double>::infinity();
    if (value == "-inf") return -std::numeric_limits<double>::infinity();
    throw Bad(key, "not a number");
  }
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

void InsertTrial(Database& db, int stage, const StoredTrial& stored,
                 const std::vector<Parameter>& parameters) {
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
  for (const auto& p : parameters)
    parameter.Bind(trial, p.name, static_cast<double>(p.choice), p.distribution).Run();
  Statement attribute(db,
                      "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)");
  for (const auto& [key, json] : Attributes(stored)) attribute.Bind(trial, key, json).Run();
  if (stored.trial.state != TrialState::kComplete) return;
  const double value = stored.trial.value;
  THIMBLE_CHECK(!std::isnan(value), "a complete trial has a value");
  Statement insert(
      db, "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, 0, ?2, ?3)");
  if (std::isinf(value))
    insert.Bind(trial, nullptr, value > 0 ? "INF_POS" : "INF_NEG").Run();
  else
    insert.Bind(trial, value, "FINITE").Run();
}

constexpr char kNewPrefix[] = "study/";

// Of the stages' names in this file. Only studies with facts are stages: Optuna may have added others.
std::string PrefixIn(Database& db) {
  Statement names(
      db,
      "SELECT study_name FROM studies WHERE instr(study_name, '/') > 0 AND study_id IN (SELECT "
      "study_id FROM study_user_attributes WHERE key IN ('study', 'precision')) ORDER BY study_id");
  std::vector<std::string> prefixes;
  while (names.Step()) {
    const std::string name = names.Text(0);
    const std::string prefix = name.substr(0, name.rfind('/') + 1);
    if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end()) prefixes.push_back(prefix);
  }
  if (prefixes.empty()) return kNewPrefix;
  if (prefixes.size() > 1)
    Warn(db.path() + " holds trials under several names, of a study that was renamed: those of \"" +
         prefixes.back() + "\", begun last, are taken, not those of \"" + prefixes.front() + "\"");
  return prefixes.back();
}

}  // namespace

struct Store::Impl {
  explicit Impl(const std::string& path) : db(path) {
    CheckOrCreateSchema(db);
    prefix = PrefixIn(db);
  }
  Database db;
  std::string prefix;  // of the stages' names, with its slash
};

Store::Store(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
Store::~Store() = default;

std::optional<int> Store::FindStage(const std::string& stage) const {
  const std::string name = impl_->prefix + stage;
  Statement find(impl_->db, "SELECT study_id FROM studies WHERE study_name = ?1");
  if (!find.Bind(name).Step()) return std::nullopt;
  return static_cast<int>(find.Integer(0));
}

int Store::OpenStage(const std::string& name) {
  auto& db = impl_->db;
  if (const auto found = FindStage(name)) return *found;
  Transaction transaction(db, Transaction::kWrite);
  if (const auto found = FindStage(name)) return *found;  // another process was first
  const std::string full = impl_->prefix + name;
  Statement(db, "INSERT INTO studies (study_name) VALUES (?1)").Bind(full).Run();
  const int stage = static_cast<int>(db.LastRow());
  Statement(db, "INSERT INTO study_directions (direction, study_id, objective) VALUES ('MAXIMIZE', ?1, 0)")
      .Bind(stage)
      .Run();
  transaction.Commit();
  return stage;
}

void Store::SetFact(int stage, const std::string& key, const std::string& value) {
  impl_->db.CheckInPlace();
  Transaction transaction(impl_->db, Transaction::kWrite);
  Statement(impl_->db,
            "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json")
      .Bind(stage, key, Dump(value))
      .Run();
  transaction.Commit();
}

std::optional<std::string> Store::Fact(int stage, const std::string& key) const {
  Statement read(impl_->db, "SELECT value_json FROM study_user_attributes WHERE study_id = ?1 AND key = ?2");
  if (!read.Bind(stage, key).Step()) return std::nullopt;
  const Json value = Json::parse(read.Text(0), nullptr, /*allow_exceptions=*/false);
  if (!value.is_string()) throw BadRequest(impl_->db.path(), "study attribute \"" + key + "\" is not a text");
  return value.get<std::string>();
}

void Store::AppendRound(int stage, const std::vector<StoredTrial>& trials, const proto::Stage& spec,
                        const proto::Space& space) {
  auto& db = impl_->db;
  db.CheckInPlace();
  Transaction transaction(db, Transaction::kWrite);
  Statement count(db, "SELECT COUNT(*) FROM trials WHERE study_id = ?1");
  count.Bind(stage).Step();
  int64_t next = count.Integer(0);
  for (const auto& stored : trials) {
    if (stored.number != next++)
      throw WorkFailed(db.path(), "another process has added trials to stage \"" + spec.name() +
                                      "\"; let one search at a time run on a study, then run this one again");
    InsertTrial(db, stage, stored, Parameters(stored.trial.architecture, spec, space));
  }
  transaction.Commit();
}

std::vector<StoredTrial> Store::Trials(int stage) const {
  auto& db = impl_->db;
  Transaction transaction(db, Transaction::kRead);  // the queries see one state of the file
  std::map<int64_t, std::map<std::string, std::string>> attributes;
  Statement read(db,
                 "SELECT trial_id, key, value_json FROM trials JOIN trial_user_attributes USING (trial_id) "
                 "WHERE study_id = ?1");
  read.Bind(stage);
  while (read.Step()) attributes[read.Integer(0)][read.Text(1)] = read.Text(2);

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
    stored.trial.value = kNaN;
    if (stored.trial.state == TrialState::kComplete) {
      const std::string type = rows.Text(4);
      if (type == "INF_POS" || type == "INF_NEG")
        stored.trial.value = (type == "INF_POS" ? 1 : -1) * std::numeric_limits<double>::infinity();
      else if (type == "FINITE" && !rows.IsNull(3))
        stored.trial.value = rows.Real(3);
      else
        throw BadRequest(where, "a complete trial without a value");
      stored.trial.standard_error = reader.Real("standard_error", 0);
    }
    stored.deployed_parameters = reader.Integer("deployed_parameters");
    stored.filter_score = reader.Real("filter_score", kNaN);
    stored.metrics = reader.Object("metrics");
    stored.reason = reader.TextOrEmpty("reason");
    stored.seconds = reader.Real("seconds", 0);
    trials.push_back(std::move(stored));
  }
  return trials;
}

}  // namespace thimble::search
