// SQLite held by objects: a connection, a statement with bound parameters, a transaction that rolls back
// unless committed. A file that cannot be read as SQLite is a bad request; a write that fails (disk full,
// lock held) is failed work.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace thimble::search {

// Used from one thread. Waits up to 30 s for another process's lock.
class Database {
 public:
  explicit Database(const std::string& path);  // opened, or created empty
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void Execute(const char* sql);  // one or several statements without parameters or results
  bool ReadOnly() const;
  int64_t LastRow() const;  // id of the row inserted last
  const std::string& path() const { return path_; }
  // Error (exit 1) if the file that is open is not what lies at `path` any more: what is written now is lost.
  void CheckInPlace() const;
  [[noreturn]] void Fail(int code) const;  // the Error for an SQLite result code

 private:
  friend class Statement;
  std::string path_;
  sqlite3* handle_ = nullptr;
};

// `sql` is a literal of the program; values only ever enter through Bind.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Starts anew with these values for ?1, ?2, ... Text must live until the statement has run.
  template <typename... Values>
  Statement& Bind(const Values&... values) {
    Restart();
    int index = 0;
    (Put(++index, values), ...);
    return *this;
  }
  bool Step();  // true: there is a row to read
  void Run() {
    while (Step()) {
    }
  }

  int64_t Integer(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;
  bool IsNull(int column) const;

 private:
  void Restart();
  void Put(int index, int value) { Put(index, static_cast<int64_t>(value)); }
  void Put(int index, int64_t value);
  void Put(int index, double value);
  void Put(int index, std::string_view value);
  void Put(int index, const std::string& value) { Put(index, std::string_view(value)); }
  void Put(int index, const char* value) { Put(index, std::string_view(value)); }
  void Put(int index, std::nullptr_t);
  void Check(int code) const;

  Database& database_;
  sqlite3_stmt* handle_ = nullptr;
};

class Transaction {
 public:
  enum Kind {
    kRead,
    kWrite
  };  // kWrite takes the write lock at once, so that it never fails half-way for a lock
  Transaction(Database& database, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void Commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace thimble::search
