#include "base/write_calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace thimble::write_calls {
namespace {

struct Plan {
  int64_t first = 0;  // the call that fails; 0: none
  bool later = false;
  int error = ENOSPC;
  bool kill = false, count = false;
};

std::atomic<int64_t> calls{0};

int ErrorNamed(std::string_view name) {
  constexpr struct {
    std::string_view name;
    int error;
  } kErrors[] = {{"EACCES", EACCES}, {"EDQUOT", EDQUOT}, {"EFBIG", EFBIG},
                 {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EROFS", EROFS}};
  for (const auto& known : kErrors)
    if (known.name == name) return known.error;
  return 0;
}

Plan Parse(const char* text) {
  Plan plan;
  if (text == nullptr) return plan;
  if (std::strcmp(text, "COUNT") == 0) {
    plan.count = true;
    std::atexit([] { std::fprintf(stderr, "write calls: %lld\n", static_cast<long long>(calls.load())); });
    return plan;
  }
  char* end = nullptr;
  plan.first = std::strtoll(text, &end, 10);
  if (*end == '+') plan.later = true, ++end;
  if (std::strcmp(end, ":KILL") == 0) {
    plan.kill = true;
  } else if (*end == ':') {
    plan.error = ErrorNamed(end + 1);
  } else if (*end != 0) {
    plan.error = 0;
  }
  if (end == text || plan.first < 1 || plan.error == 0)
    throw BadRequest("THIMBLE_FAIL_WRITE", "not a plan of failing writes", text,
                     "N, N+, N:ERROR, N+:ERROR, N:KILL, COUNT");
  return plan;
}

bool Fails() {
  static const Plan plan = Parse(std::getenv("THIMBLE_FAIL_WRITE"));
  if (plan.first == 0 && !plan.count) return false;
  const int64_t number = ++calls;
  if (plan.first == 0 || number < plan.first || (number > plan.first && !plan.later)) return false;
  if (plan.kill) ::raise(SIGKILL);
  errno = plan.error;
  return true;
}

}  // namespace

int Open(const char* path, int flags) { return Fails() ? -1 : ::open(path, flags | O_CLOEXEC, 0644); }

ssize_t Write(int file, const void* bytes, size_t size) { return Fails() ? -1 : ::write(file, bytes, size); }

int Reserve(int file, uint64_t bytes) {
  if (Fails()) return -1;
  if (bytes == 0) return 0;
  const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int Sync(int file) { return Fails() ? -1 : ::fsync(file); }

int Rename(const char* from, const char* to) { return Fails() ? -1 : ::rename(from, to); }

int Exchange(const char* one, const char* other) {
  return Fails() ? -1 : ::renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

int MakeDirectory(const char* path) { return Fails() ? -1 : ::mkdir(path, 0777); }

}  // namespace thimble::write_calls
