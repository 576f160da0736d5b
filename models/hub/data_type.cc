#include "models/hub/data_type.h"

namespace thimble::models {
namespace {

struct Entry {
  DataType type;
  int bytes;
  std::string_view safetensors, storage;
};

constexpr Entry kEntries[] = {
    {DataType::kF32, 4, "F32", "FloatStorage"},      {DataType::kF16, 2, "F16", "HalfStorage"},
    {DataType::kBF16, 2, "BF16", "BFloat16Storage"}, {DataType::kF64, 8, "F64", "DoubleStorage"},
    {DataType::kI64, 8, "I64", "LongStorage"},       {DataType::kI32, 4, "I32", "IntStorage"},
    {DataType::kI16, 2, "I16", "ShortStorage"},      {DataType::kI8, 1, "I8", "CharStorage"},
    {DataType::kU8, 1, "U8", "ByteStorage"},         {DataType::kBool, 1, "BOOL", "BoolStorage"}};

const Entry& EntryOf(DataType type) { return kEntries[static_cast<int>(type)]; }

}  // namespace

int64_t ItemBytes(DataType type) { return EntryOf(type).bytes; }

std::string_view SafetensorsName(DataType type) { return EntryOf(type).safetensors; }

std::optional<DataType> DataTypeOfSafetensors(std::string_view name) {
  for (const Entry& entry : kEntries)
    if (entry.safetensors == name) return entry.type;
  return {};
}

std::optional<DataType> DataTypeOfStorage(std::string_view name) {
  for (const Entry& entry : kEntries)
    if (entry.storage == name) return entry.type;
  return {};
}

std::string SafetensorsNames() {
  std::string names;
  for (const Entry& entry : kEntries) names += (names.empty() ? "" : ", ") + std::string(entry.safetensors);
  return names;
}

}  // namespace thimble::models
