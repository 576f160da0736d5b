#include "models/hub/weight_files.h"

#include <ATen/ATen.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "models/hub/json.h"
#include "models/hub/safetensors.h"
#include "models/hub/torch_archive.h"
#include "models/hub/weight_index.h"
#include "models/hub/weight_names.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;

using Tensors = std::map<std::string, StoredTensor>;
using OpenFile = void (*)(const std::string& path, Tensors* tensors);

void AddTensor(StoredTensor tensor, Tensors* tensors) {
  const auto [found, fresh] = tensors->try_emplace(tensor.name, tensor);
  if (!fresh)
    throw BadRequest(found->second.file + ", tensor '" + tensor.name + "'",
                     "another file of the model holds it too", tensor.file);
}

void OpenSafetensors(const std::string& path, Tensors* tensors) {
  const auto file = std::make_shared<MappedFile>(path);
  const SafetensorsHeader header = ParseSafetensorsHeader(path, file->bytes());
  for (const SafetensorsEntry& entry : header.entries) {
    const auto read = [file, path, entry, data = header.data] { return CopyOut(path, entry, data); };
    AddTensor({entry.name, path, entry.sizes, read}, tensors);
  }
}

struct OpenArchive {
  explicit OpenArchive(const std::string& path) : file(path), archive(path, file.bytes()) {}
  MappedFile file;
  TorchArchive archive;
};

at::Tensor CopyOut(const std::string& path, const TorchArchive& archive, const PickledTensor& tensor) {
  const std::string bytes = archive.ReadStorage(tensor);
  if (tensor.type == DataType::kBool) CheckBoolBytes(path + ", tensor '" + tensor.name + "'", bytes);
  at::Tensor storage = at::empty({tensor.storage_items}, ScalarTypeOf(tensor.type));
  if (!bytes.empty()) std::memcpy(storage.mutable_data_ptr(), bytes.data(), bytes.size());
  const at::Tensor view = storage.as_strided(tensor.sizes, tensor.strides, tensor.offset);
  // A tensor of its own, without the rest of a shared storage.
  return view.is_contiguous() && view.numel() == storage.numel() ? view
                                                                 : view.clone(at::MemoryFormat::Contiguous);
}

void OpenPickle(const std::string& path, Tensors* tensors) {
  const auto open = std::make_shared<OpenArchive>(path);
  for (const PickledTensor& tensor : open->archive.tensors()) {
    const auto read = [open, path, tensor] { return CopyOut(path, open->archive, tensor); };
    AddTensor({tensor.name, path, tensor.sizes, read}, tensors);
  }
}

void CheckIndex(const WeightIndex& index, const WeightFiles& files, const std::string& directory) {
  std::vector<std::string> absent;
  for (const auto& [name, file] : index) {
    const auto found = files.tensors.find(name);
    if (found == files.tensors.end() || found->second.file != directory + "/" + file)
      absent.push_back(name + " (" + file + ")");
  }
  if (!absent.empty()) throw BadRequest(files.path, "lists tensors that its files lack", ListNames(absent));
}

struct Format {
  const char *name, *file;
  OpenFile open;
};
constexpr Format kFormats[] = {{"safetensors", "model.safetensors", OpenSafetensors},
                               {"pickle", "pytorch_model.bin", OpenPickle}};

// By the names that a model looks for.
void Unwrap(std::optional<Family> family, WeightFiles* files) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : files->tensors) names.push_back(name);
  auto unwrapped = UnwrapNames(names, family);
  Tensors tensors;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto [found, fresh] = tensors.try_emplace(unwrapped.names[i], files->tensors.at(names[i]));
    if (!fresh)
      throw BadRequest(files->path, "holds the same weight twice",
                       "'" + names[i] + "' and '" + found->second.name + "'");
  }
  files->tensors = std::move(tensors);
  files->note = std::move(unwrapped.note);
  files->obstacle = std::move(unwrapped.obstacle);
}

// Of one format, in one file or many; false: there are none.
bool Open(const Format& format, const std::string& directory, WeightFiles* result) {
  std::error_code ignored;
  result->format = format.name;
  result->path = directory + "/" + format.file;
  if (fs::exists(result->path, ignored)) {
    result->files = {format.file};
    format.open(result->path, &result->tensors);
    return true;
  }
  result->path += ".index.json";
  if (!fs::exists(result->path, ignored)) return false;
  const WeightIndex index = ParseWeightIndex(result->path, ReadFile(result->path));
  std::set<std::string> files;
  for (const auto& [name, file] : index) files.insert(file);
  for (const std::string& file : files) {
    const std::string path = directory + "/" + file;
    if (!fs::exists(path, ignored)) throw BadRequest(result->path, "a file that it names is missing", file);
    format.open(path, &result->tensors);
  }
  result->files.assign(files.begin(), files.end());
  CheckIndex(index, *result, directory);
  return true;
}

}  // namespace

WeightFiles OpenWeightFiles(const std::string& directory, std::optional<Family> family) {
  for (const Format& format : kFormats) {
    WeightFiles files;
    if (!Open(format, directory, &files)) continue;
    for (const std::string& file : files.files)
      files.bytes += static_cast<int64_t>(fs::file_size(directory + "/" + file));
    Unwrap(family, &files);
    return files;
  }
  throw BadRequest(
      directory, "no weights", "",
      "model.safetensors or pytorch_model.bin, or the index.json of many; transformers writes them: "
      "model.save_pretrained(DIR)");
}

}  // namespace thimble::models
