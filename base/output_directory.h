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

// Before work that ends in directory `path` (PendingOutput): Error (exit 2) if it is there and not empty,
// unless `force`, and with it, too, if it holds a file that thimble has not written; if it could not be
// replaced (a mount point, the current directory); or if nothing can be written beside it. Puts the directory
// back that a killed process was replacing, and clears what it left. To be kept while the work goes on: the
// directories above `path` that it made are removed if nothing came of it.
class [[nodiscard]] OutputDirectory {
 public:
  OutputDirectory(const std::string& path, bool force);

 private:
  WritableDirectory above_;
};

// The directory that the work ends in, a PendingDirectory with a list of its files, kWrittenFiles.
class PendingOutput {
 public:
  explicit PendingOutput(const std::string& path) : directory_(path) {}  // Error (exit 1)
  const std::string& working() const { return directory_.working(); }    // write here
  // Error (exit 1), among other reasons if files of others have come into the old directory meanwhile.
  void Commit();

 private:
  PendingDirectory directory_;
};

// The list in every directory that a PendingOutput made: the files that thimble wrote there, a relative path
// a line.
inline constexpr char kWrittenFiles[] = ".thimble-files";
// The files below `directory` that are not on its list, sorted. Where there is none: those that do not have
// the names of a model or study that an earlier version wrote there.
std::vector<std::string> ForeignFiles(const std::string& directory);
// Adds a file that was written later to the list, if `directory` has one.
void NoteWrittenFile(const std::string& directory, const std::string& name);

}  // namespace thimble
