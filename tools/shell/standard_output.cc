#include "tools/shell/standard_output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "base/error.h"

namespace thimble::tools {
namespace {

// Whether the other end of a pipe is closed. The write that failed may have been long ago.
bool NobodyReads() {
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

[[noreturn]] void EndQuietly() {
  std::signal(SIGPIPE, SIG_DFL);
  ::raise(SIGPIPE);
  std::_Exit(128 + SIGPIPE);  // where the signal is blocked
}

}  // namespace

void PrepareOutput() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // What is opened next takes the lowest free number. Writes to a closed output go on failing.
  for (const auto& [number, file] :
       {std::pair{STDIN_FILENO, "/dev/null"}, std::pair{STDOUT_FILENO, "/dev/full"},
        std::pair{STDERR_FILENO, "/dev/null"}})
    if (::fcntl(number, F_GETFD) < 0 && errno == EBADF) ::open(file, O_RDWR);
}

void FlushOutput() {
  std::cout.flush();
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout;
  if (!failed) return;
  const int error = errno;
  if (error == EPIPE || NobodyReads()) EndQuietly();
  throw WorkFailed("standard output",
                   "cannot write" + (error != 0 ? std::string(": ") + std::strerror(error) : ""));
}

void CheckOutput() {
  if (std::ferror(stdout) != 0) FlushOutput();
}

}  // namespace thimble::tools
