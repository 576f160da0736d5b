#include "search/sqlite.h"

#include <sqlite3.h>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr int kBusyMilliseconds = 30000;
constexpr int kLongestValue = 16 << 20;  // bytes of one text; a store file is untrusted input

}  // namespace

Database::Database(const std::string& path) : path_(path) {
  const int code =
      sqlite3_open_v2(path.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (code != SQLITE_OK) {
    const std::string reason = handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_);
    sqlite3_close(handle_);
    throw BadRequest(path, "cannot open or create the store: " + reason);
  }
  sqlite3_busy_timeout(handle_, kBusyMilliseconds);
  sqlite3_limit(handle_, SQLITE_LIMIT_LENGTH, kLongestValue);
  // Nothing in the file may run functions, write internal tables or be trusted to hold together.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
}

Database::~Database() { sqlite3_close(handle_); }

void Database::Execute(const char* sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) Fail(code);
}

bool Database::ReadOnly() const { return sqlite3_db_readonly(handle_, "main") == 1; }

int64_t Database::LastRow() const { return sqlite3_last_insert_rowid(handle_); }

void Database::CheckInPlace() const {
  int moved = 0;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0)
    throw WorkFailed(path_,
                     "was moved or removed while it was in use; the same command goes on where it is now");
}

void Database::Fail(int code) const {
  const std::string reason = sqlite3_errmsg(handle_);
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      throw BadRequest(path_, "not an SQLite file");
    case SQLITE_CANTOPEN:
      throw BadRequest(path_, "cannot open the store: " + reason);
    case SQLITE_READONLY:
      throw BadRequest(path_, "the store cannot be written: " + reason);
    case SQLITE_CORRUPT:
      throw BadRequest(path_, "the store is damaged: " + reason);
    // The program's SQL is fixed, so what does not compile does not fit the file's tables.
    case SQLITE_ERROR:
      throw BadRequest(path_, "its tables are not those of an Optuna store: " + reason);
    case SQLITE_BUSY:
      throw WorkFailed(path_, "another process holds the store's lock");
    default:
      throw WorkFailed(path_, reason);
  }
}

Statement::Statement(Database& database, const char* sql) : database_(database) {
  Check(sqlite3_prepare_v2(database.handle_, sql, -1, &handle_, nullptr));
}

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::Check(int code) const {
  if (code != SQLITE_OK) database_.Fail(code);
}

void Statement::Restart() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

void Statement::Put(int index, int64_t value) { Check(sqlite3_bind_int64(handle_, index, value)); }
void Statement::Put(int index, double value) { Check(sqlite3_bind_double(handle_, index, value)); }
void Statement::Put(int index, std::nullptr_t) { Check(sqlite3_bind_null(handle_, index)); }
void Statement::Put(int index, std::string_view value) {
  Check(sqlite3_bind_text64(handle_, index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8));
}

bool Statement::Step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.Fail(code);
  return false;
}

int64_t Statement::Integer(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::Real(int column) const { return sqlite3_column_double(handle_, column); }
bool Statement::IsNull(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return text == nullptr ? "" : std::string(text, sqlite3_column_bytes(handle_, column));
}

Transaction::Transaction(Database& database, Kind kind) : database_(database) {
  database_.Execute(kind == kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.Execute("ROLLBACK");
  } catch (const Error&) {  // SQLite has already rolled back by itself (disk full, for example)
  }
}

void Transaction::Commit() {
  database_.Execute("COMMIT");
  open_ = false;
}

}  // namespace thimble::search
