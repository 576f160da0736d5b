// Files: nothing is ever half written, nothing is overwritten by accident.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace thimble {

// A file mapped read-only; its bytes stay valid for the object's life. Error (exit 2) if it cannot be opened.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

std::string ReadFile(const std::string& path);  // Error (exit 2) if it cannot be read

// A file under a temporary name in the same folder that takes the name `path` on Commit, synced: a kill
// leaves the old file or the new one. Removed when the object dies before; what a killed process left of the
// same file is removed first. Error (exit 1) from every call that fails.
class PendingFile {
 public:
  explicit PendingFile(const std::string& path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  const std::string& working() const { return working_; }  // its name until then
  void Append(std::string_view bytes);
  // Gives the file its size and takes the room on the disk, for who writes through a mapping of it: a full
  // disk is found here, not by a fault (SIGBUS) while writing.
  void Reserve(uint64_t bytes);
  void Sync();
  void Commit();

 private:
  void Close();

  std::string path_, working_;
  int file_ = -1;
  bool committed_ = false;
};

// A whole file, as a PendingFile.
void WriteFileAtomically(const std::string& path, std::string_view bytes);
// The same, the content produced by `write`, which appends through the function it is given.
using Append = std::function<void(std::string_view)>;
void WriteFileAtomically(const std::string& path, const std::function<void(const Append&)>& write);

// A directory that is there while the object lives: made where it is missing, with those above it. What it
// made and nobody has filled is removed again. Error (exit 1).
class [[nodiscard]] EnsuredDirectory {
 public:
  explicit EnsuredDirectory(const std::string& path);
  ~EnsuredDirectory();
  EnsuredDirectory(const EnsuredDirectory&) = delete;
  EnsuredDirectory& operator=(const EnsuredDirectory&) = delete;

 private:
  void RemoveUnused();

  std::vector<std::string> made_;  // outer ones first
};

// A directory that appears at `path`, or takes the place of one, only when Commit is called; removed when the
// object dies before. At every moment the old one or the new one is whole. What a killed process left of the
// same directory is removed first, or put back. Error (exit 1) from every call that fails.
class PendingDirectory {
 public:
  explicit PendingDirectory(const std::string& path);
  ~PendingDirectory();
  PendingDirectory(const PendingDirectory&) = delete;
  PendingDirectory& operator=(const PendingDirectory&) = delete;
  const std::string& path() const { return path_; }        // RealPath
  const std::string& working() const { return working_; }  // write here
  void Commit();

 private:
  void Replace();

  std::string path_, working_;
  EnsuredDirectory above_;
  int lock_ = -1;
};

// Where `path` really lies: absolute, links followed, no "." or ".." in it, no slash at its end.
// Error (exit 2) if it cannot be looked at.
std::string RealPath(const std::string& path);

// The names in it last through a power loss, if it can be opened.
void SyncDirectory(const std::string& path);

// Files that match `pattern` as in a shell (* ? [a-z], in directories too), sorted; Error if there is none.
std::vector<std::string> Glob(const std::string& pattern);

uint64_t DirectoryBytes(const std::string& path);  // sum of the sizes of the regular files below it

}  // namespace thimble
