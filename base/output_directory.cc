#include "base/output_directory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/leftovers.h"

namespace fs = std::filesystem;

namespace thimble {
namespace {

bool IsMountPoint(const std::string& path) {
  struct statx info;
  return ::statx(AT_FDCWD, path.c_str(), 0, 0, &info) == 0 &&
         (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

std::vector<std::string> FilesBelow(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->is_symlink() || !entry->is_directory())
      files.push_back(entry->path().lexically_relative(directory).string());
  if (error) throw BadRequest(directory, "cannot be listed: " + error.message());
  std::sort(files.begin(), files.end());
  return files;
}

// What earlier versions, which kept no list, wrote into a model or a study that was not begun.
const std::set<std::string> kKnownNames = {"README.md",
                                           "added_tokens.json",
                                           "architecture.textproto",
                                           "config.json",
                                           "model.int8.onnx",
                                           "model.onnx",
                                           "model.safetensors",
                                           "modeling_thimble.py",
                                           "sliced_start.json",
                                           "study.textproto",
                                           "special_tokens_map.json",
                                           "tokenizer.json",
                                           "tokenizer_config.json",
                                           "training.safetensors",
                                           "vocab.txt"};

// Nobody else writes these names beside others of the list; a vocabulary of ours comes with its settings
// alone.
bool IsOurs(const std::set<std::string>& names) {
  return names.count("architecture.textproto") > 0 || names.count("study.textproto") > 0 ||
         names == std::set<std::string>{"tokenizer_config.json", "vocab.txt"};
}

// The files of earlier versions: in the directory or, of several tasks trained together, one folder a task.
std::set<std::string> FilesOfEarlierVersions(const std::string& directory) {
  std::map<std::string, std::set<std::string>> folders;
  for (const fs::path file : FilesBelow(directory))
    folders[file.parent_path().string()].insert(file.filename().string());
  std::set<std::string> files;
  for (const auto& [folder, names] : folders)
    if (IsOurs(names) && fs::path(folder).parent_path().empty())
      for (const auto& name : names)
        if (kKnownNames.count(name) > 0) files.insert((fs::path(folder) / name).string());
  return files;
}

// Those on the list; none where there is none.
std::set<std::string> ListedFiles(const std::string& directory) {
  std::set<std::string> names;
  const std::string list = directory + "/" + kWrittenFiles;
  std::error_code ignored;
  if (!fs::is_regular_file(list, ignored)) return names;
  std::istringstream lines(ReadFile(list));
  for (std::string line; std::getline(lines, line);) names.insert(line);
  names.insert(kWrittenFiles);
  return names;
}

void WriteList(const std::string& directory, const std::set<std::string>& names) {
  std::string text;
  for (const auto& name : names)
    if (name != kWrittenFiles) text += name + "\n";
  WriteFileAtomically(directory + "/" + kWrittenFiles, text);
}

// The first few names.
std::string Some(const std::vector<std::string>& names) {
  constexpr size_t kMost = 5;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, names.size()); ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kMost) text += " and " + std::to_string(names.size() - kMost) + " more";
  return text;
}

// What is there may be replaced.
void CheckReplaceable(const std::string& path, bool force) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) throw BadRequest(path, "exists and is not a directory");
  if (path == fs::current_path(ignored))
    throw BadRequest(path, "is the current directory, which cannot be replaced", "",
                     "a directory in it, or another");
  if (IsMountPoint(path))
    throw BadRequest(path, "is a mount point, which cannot be replaced", "", "a directory in it");
  if (!force && !fs::is_empty(path, ignored))
    throw BadRequest(path, "exists and is not empty", "", "another directory, or --force to replace it");
  const auto foreign = ForeignFiles(path);
  if (!foreign.empty())
    throw BadRequest(path, "holds files that thimble did not write, and --force replaces its own alone",
                     Some(foreign), "another directory, or these moved elsewhere");
}

// As BadRequest: it is before the work.
EnsuredDirectory Ensured(const std::string& path) try {
  return EnsuredDirectory(path);
} catch (const Error& error) {
  throw Error(error.what());
}

// Checks what is at `path` and returns where it really lies.
fs::path CheckedPlace(const std::string& path, bool force) {
  if (path.empty()) throw BadRequest("--out", "a directory is needed");
  const std::string place = RealPath(path);
  ClearLeftovers(place);
  std::error_code ignored;
  const auto type = fs::symlink_status(place, ignored).type();
  if (type == fs::file_type::symlink) throw BadRequest(path, "is a symbolic link that leads nowhere");
  if (type != fs::file_type::not_found) CheckReplaceable(place, force);
  return place;
}

// What training keeps beside its output has the longest name.
WritableDirectory Beside(const fs::path& place) {
  return WritableDirectory(place.parent_path().string(), place.filename().string() + ".checkpoint");
}

}  // namespace

WritableDirectory::WritableDirectory(const std::string& path, const std::string& name)
    : directory_(Ensured(path)) {
  try {
    PendingFile file(path + "/" + name);
    file.Append(std::string(4096, ' '));
    file.Sync();
  } catch (const Error& error) {
    throw BadRequest(path, std::string("nothing can be written in this directory: ") + error.what());
  }
}

OutputDirectory::OutputDirectory(const std::string& path, bool force)
    : above_(Beside(CheckedPlace(path, force))) {}

void PendingOutput::Commit() {
  const auto files = FilesBelow(working());
  WriteList(working(), {files.begin(), files.end()});
  std::error_code ignored;
  if (fs::exists(directory_.path(), ignored)) {
    const auto foreign = ForeignFiles(directory_.path());
    if (!foreign.empty())
      throw WorkFailed(directory_.path(),
                       "files that thimble did not write have come into the directory: " + Some(foreign));
  }
  directory_.Commit();
}

std::vector<std::string> ForeignFiles(const std::string& directory) {
  auto written = ListedFiles(directory);
  if (written.empty()) written = FilesOfEarlierVersions(directory);
  auto files = FilesBelow(directory);
  std::erase_if(files, [&](const std::string& name) { return written.count(name) > 0; });
  return files;
}

void NoteWrittenFile(const std::string& directory, const std::string& name) {
  auto names = ListedFiles(directory);
  if (names.empty() || !names.insert(name).second) return;
  WriteList(directory, names);
}

}  // namespace thimble
