#include "search/store.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "search/sqlite.h"
#include "search/store_schema.h"
#include "search/store_trials.h"

namespace thimble::search {
namespace {

using Json = nlohmann::json;

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
      .Bind(stage, key, Json(value).dump(-1, ' ', false, Json::error_handler_t::replace))
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
    InsertTrial(db, stage, stored, spec, space);
  }
  transaction.Commit();
}

std::vector<StoredTrial> Store::Trials(int stage) const { return ReadTrials(impl_->db, stage); }

}  // namespace thimble::search
