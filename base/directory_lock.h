// One process at a time in a directory.
#pragma once
#include <string>

namespace thimble {

// Holds a directory for one command: two in it would write the same checkpoints. Error (exit 2) if one has
// it.
class DirectoryLock {
 public:
  DirectoryLock(const std::string& directory, const std::string& command);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

}  // namespace thimble
