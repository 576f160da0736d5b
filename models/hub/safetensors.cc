#include "models/hub/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace thimble::models {
namespace {

constexpr std::pair<DataType, at::ScalarType> kTypes[] = {
    {DataType::kF32, at::kFloat},  {DataType::kF16, at::kHalf}, {DataType::kBF16, at::kBFloat16},
    {DataType::kF64, at::kDouble}, {DataType::kI64, at::kLong}, {DataType::kI32, at::kInt},
    {DataType::kI16, at::kShort},  {DataType::kI8, at::kChar},  {DataType::kU8, at::kByte},
    {DataType::kBool, at::kBool}};

std::string TypeName(at::ScalarType wanted) {
  for (const auto& [type, scalar] : kTypes) {
    if (scalar == wanted) return std::string(SafetensorsName(type));
  }
  return "";
}

}  // namespace

at::ScalarType ScalarTypeOf(DataType wanted) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& entry) { return entry.first == wanted; });
  THIMBLE_CHECK(found != std::end(kTypes), "a type without a counterpart in LibTorch");
  return found->second;
}

void CheckBoolBytes(const std::string& where, std::string_view bytes) {
  if (std::any_of(bytes.begin(), bytes.end(), [](char c) { return c != 0 && c != 1; }))
    throw BadRequest(where, "a BOOL byte is neither 0 nor 1");
}

at::Tensor CopyOut(const std::string& path, const SafetensorsEntry& entry, std::string_view data) {
  const std::string_view bytes = data.substr(entry.begin, entry.end - entry.begin);
  if (entry.type == DataType::kBool) CheckBoolBytes(path + ", tensor '" + entry.name + "'", bytes);
  at::Tensor tensor = at::empty(entry.sizes, ScalarTypeOf(entry.type));
  if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

TensorFile ReadSafetensors(const std::string& path) {
  const MappedFile file(path);
  SafetensorsHeader header = ParseSafetensorsHeader(path, file.bytes());
  TensorFile result;
  result.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.entries)
    result.tensors.Add(entry.name, CopyOut(path, entry, header.data));
  return result;
}

void WriteSafetensors(const std::string& path, const Weights& tensors,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::string type = TypeName(tensor.scalar_type());
    THIMBLE_CHECK(!type.empty() && name != kSafetensorsMetadata,
                  "'" + name + "' cannot be a safetensors tensor");
    const uint64_t end = offset + tensor.numel() * tensor.element_size();
    header[name] = {{"dtype", type}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kSafetensorsLengthBytes - text.size() % kSafetensorsLengthBytes) % kSafetensorsLengthBytes,
              ' ');  // tensors begin aligned
  THIMBLE_CHECK(text.size() <= kSafetensorsMaxHeader, "header of " + std::to_string(text.size()) + " bytes");
  const uint64_t length = text.size();
  WriteFileAtomically(path, [&](const Append& append) {
    append({reinterpret_cast<const char*>(&length), kSafetensorsLengthBytes});
    append(text);
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
      append({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
    }
  });
}

}  // namespace thimble::models
