#include "base/files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/leftovers.h"
#include "base/write_calls.h"

namespace fs = std::filesystem;

namespace thimble {
namespace {

std::string Reason() { return std::strerror(errno); }

// A file descriptor that closes itself.
struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() { Close(); }
  int Close() {
    const int result = fd >= 0 ? ::close(fd) : 0;
    fd = -1;
    return result;
  }
  int fd;
};

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

void SyncDirectory(const std::string& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd >= 0) ::fsync(directory.fd);
}

MappedFile::MappedFile(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) throw BadRequest(path, "cannot open the file: " + Reason());
  struct stat info;
  if (::fstat(file.fd, &info) != 0) throw BadRequest(path, "cannot read the file's size: " + Reason());
  if (!S_ISREG(info.st_mode)) throw BadRequest(path, "not a regular file");
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (address == MAP_FAILED) throw BadRequest(path, "cannot map the file: " + Reason());
  data_ = static_cast<const char*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

std::string ReadFile(const std::string& path) { return std::string(MappedFile(path).bytes()); }

void WriteFileAtomically(const std::string& path, std::string_view bytes) {
  WriteFileAtomically(path, [bytes](const Append& append) { append(bytes); });
}

void WriteFileAtomically(const std::string& path, const std::function<void(const Append&)>& write) {
  PendingFile file(path);
  write([&](std::string_view bytes) { file.Append(bytes); });
  file.Commit();
}

PendingFile::PendingFile(const std::string& path) : path_(path), working_(PartialName(path)) {
  ClearLeftovers(path);
  file_ = write_calls::Open(working_.c_str(), O_RDWR | O_CREAT | O_TRUNC);
  if (file_ < 0) throw WorkFailed(path_, "cannot create the file: " + Reason());
  HoldPartial(file_);
}

PendingFile::~PendingFile() {
  Close();
  if (!committed_) ::unlink(working_.c_str());
}

void PendingFile::Close() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

void PendingFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write_calls::Write(file_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw WorkFailed(path_, "cannot write: " + Reason());
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void PendingFile::Reserve(uint64_t bytes) {
  if (write_calls::Reserve(file_, bytes) == 0) return;
  throw WorkFailed(path_, "no room for " + std::to_string(bytes >> 20) + " MiB: " + Reason());
}

void PendingFile::Sync() {
  if (write_calls::Sync(file_) != 0) throw WorkFailed(path_, "cannot write: " + Reason());
}

void PendingFile::Commit() {
  Sync();
  if (write_calls::Rename(working_.c_str(), path_.c_str()) != 0)
    throw WorkFailed(path_, "cannot rename: " + Reason());
  committed_ = true;
  Close();
  SyncDirectory(ParentOf(path_));
}

EnsuredDirectory::EnsuredDirectory(const std::string& path) {
  std::error_code ignored;
  std::vector<std::string> missing;
  for (fs::path at = fs::path(path + "/").parent_path(); !at.empty() && !fs::exists(at, ignored);
       at = at.parent_path())
    missing.push_back(at.string());
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    if (write_calls::MakeDirectory(at->c_str()) == 0) {
      made_.push_back(*at);
    } else if (errno != EEXIST) {  // another process may have been first
      const std::string reason = Reason();
      RemoveUnused();
      throw WorkFailed(path, "cannot create the directory: " + reason);
    }
  }
  if (!fs::is_directory(path, ignored))
    throw WorkFailed(path, "cannot create the directory: something else bears its name");
}

EnsuredDirectory::~EnsuredDirectory() { RemoveUnused(); }

void EnsuredDirectory::RemoveUnused() {
  for (auto at = made_.rbegin(); at != made_.rend(); ++at) ::rmdir(at->c_str());  // fails where it is filled
}

std::string RealPath(const std::string& path) {
  std::error_code error;
  const fs::path found = fs::weakly_canonical(fs::path(path + "/").parent_path(), error);
  if (error) throw BadRequest(path, "cannot be looked at: " + error.message());
  const fs::path whole = fs::absolute(found, error).lexically_normal();
  return whole.has_filename() ? whole.string() : whole.parent_path().string();
}

PendingDirectory::PendingDirectory(const std::string& path)
    : path_(RealPath(path)), working_(PartialName(path_)), above_(ParentOf(path_)) {
  ClearLeftovers(path_);
  if (write_calls::MakeDirectory(working_.c_str()) != 0)
    throw WorkFailed(path_, "cannot create the directory: " + Reason());
  lock_ = ::open(working_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  HoldPartial(lock_);
}

PendingDirectory::~PendingDirectory() {
  if (lock_ >= 0) ::close(lock_);
  std::error_code ignored;
  fs::remove_all(working_, ignored);  // once committed: the directory that was replaced
}

void PendingDirectory::Commit() {
  SyncDirectory(working_);
  Replace();
  SyncDirectory(ParentOf(path_));
}

void PendingDirectory::Replace() {
  const auto fail = [&](const std::string& problem) { return WorkFailed(path_, problem + ": " + Reason()); };
  std::error_code ignored;
  if (fs::symlink_status(path_, ignored).type() == fs::file_type::not_found) {
    if (write_calls::Rename(working_.c_str(), path_.c_str()) != 0) throw fail("cannot rename the directory");
    return;
  }
  if (write_calls::Exchange(working_.c_str(), path_.c_str()) == 0) return;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) throw fail("cannot replace the directory");
  // A file system that cannot exchange: a kill between the two renames is mended by ClearLeftovers.
  const std::string replaced = ReplacedName(path_);
  if (write_calls::Rename(path_.c_str(), replaced.c_str()) != 0)
    throw fail("cannot move the old directory away");
  if (write_calls::Rename(working_.c_str(), path_.c_str()) != 0) {
    const Error error = fail("cannot rename the directory");
    ::rename(replaced.c_str(), path_.c_str());
    throw error;
  }
  fs::remove_all(replaced, ignored);
}

std::vector<std::string> Glob(const std::string& pattern) {
  glob_t matches{};
  ::glob(pattern.c_str(), 0, nullptr, &matches);  // nothing is found where it fails
  std::vector<std::string> found;
  std::error_code unreadable;  // is no file
  for (size_t i = 0; i < matches.gl_pathc; ++i)
    if (fs::is_regular_file(matches.gl_pathv[i], unreadable)) found.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  if (found.empty()) throw BadRequest(pattern, "no file matches");
  return found;
}

uint64_t DirectoryBytes(const std::string& path) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file()) bytes += entry.file_size();
  return bytes;
}

}  // namespace thimble
