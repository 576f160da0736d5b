#include "base/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace thimble {

DirectoryLock::DirectoryLock(const std::string& directory, const std::string& command)
    : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  if (fd_ >= 0) ::close(fd_);
  if (fd_ >= 0 && error == EWOULDBLOCK)
    throw BadRequest(directory, "another `" + command + "` is running here");
  throw BadRequest(directory, std::string("cannot lock the directory: ") + std::strerror(error));
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace thimble
