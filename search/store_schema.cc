#include "search/store_schema.h"

#include <vector>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr char kRevision[] = "v3.2.0.a";  // Optuna refuses a file whose revision is not its own head
constexpr int kSchemaVersion = 12;        // frozen since Optuna moved to revisions
constexpr char kOptuna[] = "5.0.0";       // the Optuna whose tables these are; it quotes this in its errors

// Names, types and keys are Optuna's. Row ids are SQLite's own (INTEGER PRIMARY KEY).
constexpr char kTables[] = R"sql(
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
CREATE TABLE version_info (
  version_info_id INTEGER NOT NULL PRIMARY KEY CHECK (version_info_id = 1),
  schema_version INTEGER,
  library_version VARCHAR(256));

CREATE TABLE studies (
  study_id INTEGER NOT NULL PRIMARY KEY,
  study_name VARCHAR(512) NOT NULL);
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE TABLE study_directions (
  study_direction_id INTEGER NOT NULL PRIMARY KEY,
  direction VARCHAR(8) NOT NULL,
  study_id INTEGER NOT NULL REFERENCES studies (study_id),
  objective INTEGER NOT NULL,
  UNIQUE (study_id, objective));
CREATE TABLE study_user_attributes (
  study_user_attribute_id INTEGER NOT NULL PRIMARY KEY,
  study_id INTEGER REFERENCES studies (study_id),
  "key" VARCHAR(512),
  value_json TEXT,
  UNIQUE (study_id, "key"));
CREATE TABLE study_system_attributes (
  study_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
  study_id INTEGER REFERENCES studies (study_id),
  "key" VARCHAR(512),
  value_json TEXT,
  UNIQUE (study_id, "key"));

CREATE TABLE trials (
  trial_id INTEGER NOT NULL PRIMARY KEY,
  number INTEGER,
  study_id INTEGER REFERENCES studies (study_id),
  state VARCHAR(8) NOT NULL,
  datetime_start DATETIME,
  datetime_complete DATETIME);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE TABLE trial_user_attributes (
  trial_user_attribute_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id),
  "key" VARCHAR(512),
  value_json TEXT,
  UNIQUE (trial_id, "key"));
CREATE TABLE trial_system_attributes (
  trial_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id),
  "key" VARCHAR(512),
  value_json TEXT,
  UNIQUE (trial_id, "key"));
CREATE TABLE trial_params (
  param_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id),
  param_name VARCHAR(512),
  param_value FLOAT,
  distribution_json TEXT,
  UNIQUE (trial_id, param_name));
CREATE TABLE trial_values (
  trial_value_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id),
  objective INTEGER NOT NULL,
  value FLOAT,
  value_type VARCHAR(7) NOT NULL,
  UNIQUE (trial_id, objective));
CREATE TABLE trial_intermediate_values (
  trial_intermediate_value_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id),
  step INTEGER NOT NULL,
  intermediate_value FLOAT,
  intermediate_value_type VARCHAR(7) NOT NULL,
  UNIQUE (trial_id, step));
CREATE TABLE trial_heartbeats (
  trial_heartbeat_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id),
  heartbeat DATETIME NOT NULL,
  UNIQUE (trial_id));
)sql";

bool HasTables(Database& database, const char* name) {
  Statement find(database, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name LIKE ?1");
  return find.Bind(name).Step() && find.Integer(0) > 0;
}

void Create(Database& database) {
  database.Execute(kTables);
  Statement(database, "INSERT INTO version_info VALUES (1, ?1, ?2)").Bind(kSchemaVersion, kOptuna).Run();
  Statement(database, "INSERT INTO alembic_version VALUES (?1)").Bind(kRevision).Run();
}

void CheckRevision(Database& database) {
  if (!HasTables(database, "alembic_version"))
    throw BadRequest(database.path(), "an SQLite file, but not a store of trials (no table alembic_version)");
  std::vector<std::string> revisions;
  Statement read(database, "SELECT version_num FROM alembic_version LIMIT 2");
  while (read.Step()) revisions.push_back(read.Text(0));
  if (revisions.size() != 1 || revisions[0] != kRevision)
    throw BadRequest(database.path(), "a store of another schema revision",
                     revisions.empty() ? "none" : "\"" + revisions[0] + "\"", kRevision);
}

}  // namespace

void CheckOrCreateSchema(Database& database) {
  // The first look also finds out whether the file is SQLite at all. Nothing is changed in a file that is not
  // ours.
  const bool empty = !HasTables(database, "%");
  if (!empty) CheckRevision(database);
  if (!database.ReadOnly()) {
    // Readers go on while a round is written. With WAL, FULL syncs every commit: a round took minutes to
    // earn.
    database.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
  }
  if (!empty) return;
  Transaction transaction(database, Transaction::kWrite);
  if (!HasTables(database, "%")) Create(database);  // else another process was first
  transaction.Commit();
  CheckRevision(database);
}

}  // namespace thimble::search
