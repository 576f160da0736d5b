#include "base/leftovers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/write_calls.h"

namespace fs = std::filesystem;

namespace thimble {
namespace {

constexpr std::string_view kPartial = ".partial-", kReplaced = ".old-";

std::string Named(const std::string& path, std::string_view kind) {
  return path + std::string(kind) + std::to_string(::getpid());
}

// The process in "NAME.partial-123".
std::optional<pid_t> ProcessIn(std::string_view name, std::string_view wanted, std::string_view kind) {
  if (!name.starts_with(wanted)) return std::nullopt;
  name.remove_prefix(wanted.size());
  if (!name.starts_with(kind)) return std::nullopt;
  name.remove_prefix(kind.size());
  pid_t process = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), process);
  if (error != std::errc() || end != name.data() + name.size() || process <= 0) return std::nullopt;
  return process;
}

// Whoever held the lock is gone, and so is the process (another with its number counts as itself: nothing is
// removed that might be in use). This process's own number is that of an earlier container.
bool Abandoned(const std::string& path, pid_t process) {
  if (process != ::getpid() && (::kill(process, 0) == 0 || errno != ESRCH)) return false;
  const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  const bool free = ::flock(file, LOCK_EX | LOCK_NB) == 0;
  ::close(file);
  return free;
}

}  // namespace

std::string PartialName(const std::string& path) { return Named(path, kPartial); }
std::string ReplacedName(const std::string& path) { return Named(path, kReplaced); }

void HoldPartial(int file) { ::flock(file, LOCK_EX | LOCK_NB); }  // a file system without locks has none

void ClearLeftovers(const std::string& path) {
  const fs::path place(path);
  const std::string name = place.filename().string();
  std::error_code error;
  std::vector<fs::path> partial, replaced;
  for (fs::directory_iterator entry(place.has_parent_path() ? place.parent_path() : ".", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string found = entry->path().filename().string();
    if (const auto process = ProcessIn(found, name, kPartial); process && Abandoned(entry->path(), *process))
      partial.push_back(entry->path());
    if (const auto process = ProcessIn(found, name, kReplaced); process && Abandoned(entry->path(), *process))
      replaced.push_back(entry->path());
  }
  for (const auto& leftover : replaced) {
    const bool missing = fs::symlink_status(place, error).type() == fs::file_type::not_found;
    // What cannot be put back is kept.
    if (missing)
      write_calls::Rename(leftover.c_str(), path.c_str());
    else
      fs::remove_all(leftover, error);
  }
  for (const auto& leftover : partial) fs::remove_all(leftover, error);
}

}  // namespace thimble
