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

// Writes to a temporary name in the same folder, syncs, renames over `path`. A kill leaves the old file or the new one.
void WriteFileAtomically(const std::string& path, std::string_view bytes);
// The same, the content produced by `write`, which appends through the function it is given.
using Append = std::function<void(std::string_view)>;
void WriteFileAtomically(const std::string& path, const std::function<void(const Append&)>& write);

// Before work that ends in directory `path`: Error (exit 2) if it is there and not empty, unless `force`.
// Makes the directories above it, or Error.
void CheckOutputDirectory(const std::string& path, bool force);

// A directory that appears at `path` only when Commit is called; removed when the object dies before.
class PendingDirectory {
 public:
  explicit PendingDirectory(const std::string& path);
  ~PendingDirectory();
  const std::string& working() const { return working_; }  // write here
  void Commit();                                           // renames over `path`, an old directory is removed

 private:
  std::string path_, working_;
  bool committed_ = false;
};

// Files that match `pattern` as in a shell (* ? [a-z], in directories too), sorted; Error if there is none.
std::vector<std::string> Glob(const std::string& pattern);

uint64_t DirectoryBytes(const std::string& path);  // sum of the sizes of the regular files below it

}  // namespace thimble
