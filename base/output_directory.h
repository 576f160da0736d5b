// Where a command's results go: looked at and tried before the work, filled out of sight, there in one step.
#pragma once
#include <string>
#include <vector>

#include "base/files.h"

namespace thimble {

// Before work that writes into directory `path`: made where it is missing (EnsuredDirectory), and a file is
// written there and removed again. Error (exit 2).
class [[nodiscard]] WritableDirectory {
 public:
  // `name`: of the file that is tried.
  explicit WritableDirectory(const std::string& path, const std::string& name = ".thimble-trial");

 private:
  EnsuredDirectory directory_;
};

// Before work that ends in directory `path` (PendingDirectory): Error (exit 2) if it is there and not empty,
// unless `force`, and with it, too, if it holds a file that thimble has not written; if it could not be replaced
// (a mount point, the current directory); or if nothing can be written beside it. Puts the directory back that a
// killed process was replacing, and clears what it left. To be kept while the work goes on: the directories
// above `path` that it made are removed if nothing came of it.
class [[nodiscard]] OutputDirectory {
 public:
  OutputDirectory(const std::string& path, bool force);

 private:
  WritableDirectory above_;
};

// A directory that appears at `path`, or takes the place of one, only when Commit is called; removed when the
// object dies before. At every moment the old one or the new one is whole.
class PendingDirectory {
 public:
  explicit PendingDirectory(const std::string& path);  // Error (exit 1)
  ~PendingDirectory();
  PendingDirectory(const PendingDirectory&) = delete;
  PendingDirectory& operator=(const PendingDirectory&) = delete;
  const std::string& working() const { return working_; }  // write here
  // Adds the list of its files, kWrittenFiles. Error (exit 1), among other reasons if files of others have come
  // into the old directory meanwhile.
  void Commit();

 private:
  void Replace();

  std::string path_, working_;
  EnsuredDirectory above_;
  int lock_ = -1;
};

// In every directory that a PendingDirectory made: the files that thimble wrote there, a relative path a line.
inline constexpr char kWrittenFiles[] = ".thimble-files";
// The files below `directory` that are not on its list, sorted. Where there is none: those that do not have the
// names of a model or study that an earlier version wrote there.
std::vector<std::string> ForeignFiles(const std::string& directory);
// Adds a file that was written later to the list, if `directory` has one.
void NoteWrittenFile(const std::string& directory, const std::string& name);

}  // namespace thimble
