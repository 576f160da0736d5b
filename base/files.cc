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

namespace fs = std::filesystem;

namespace thimble {
namespace {

std::string Reason() { return std::strerror(errno); }

// A file descriptor that closes itself.
struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() { Close(); }
  int Close() { const int result = fd >= 0 ? ::close(fd) : 0; fd = -1; return result; }
  int fd;
};

void SyncDirectory(const std::string& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY));
  if (directory.fd >= 0) ::fsync(directory.fd);
}

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

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
  const std::string temporary = path + ".partial-" + std::to_string(::getpid());
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.fd < 0) throw WorkFailed(path, "cannot create the file: " + Reason());
  try {
    write([&](std::string_view bytes) {
      while (!bytes.empty()) {
        const ssize_t n = ::write(file.fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw WorkFailed(path, "cannot write: " + Reason());
        bytes.remove_prefix(static_cast<size_t>(n));
      }
    });
    if (::fsync(file.fd) != 0 || file.Close() != 0) throw WorkFailed(path, "cannot write: " + Reason());
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw WorkFailed(path, "cannot rename: " + Reason());
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  SyncDirectory(ParentOf(path));
}

void CheckOutputDirectory(const std::string& path, bool force) {
  if (path.empty()) throw BadRequest("--out", "a directory is needed");
  std::error_code error, ignored;
  if (!fs::exists(path, ignored)) {
    // What is kept beside it while the work goes on needs the directories above.
    fs::create_directories(ParentOf(fs::path(path + "/").parent_path().string()), error);
    if (error) throw BadRequest(path, "cannot create the directory above it: " + error.message());
    return;
  }
  if (!fs::is_directory(path, ignored)) throw BadRequest(path, "exists and is not a directory");
  if (!force && !fs::is_empty(path, ignored))
    throw BadRequest(path, "exists and is not empty", "", "another directory, or --force to replace it");
}

PendingDirectory::PendingDirectory(const std::string& path)
    : path_(fs::path(path).lexically_normal().string()) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  working_ = path_ + ".partial-" + std::to_string(::getpid());
  std::error_code error;
  fs::remove_all(working_, error);
  fs::create_directories(working_, error);
  if (error) throw WorkFailed(path_, "cannot create the directory: " + error.message());
}

PendingDirectory::~PendingDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(working_, ignored);
}

void PendingDirectory::Commit() {
  std::error_code error;
  const std::string old = path_ + ".old-" + std::to_string(::getpid());
  if (fs::exists(path_)) fs::rename(path_, old, error);
  fs::rename(working_, path_, error);
  if (error) throw WorkFailed(path_, "cannot rename the directory: " + error.message());
  committed_ = true;
  fs::remove_all(old, error);
  SyncDirectory(ParentOf(path_));
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
