// The header of a safetensors file, checked. Free of LibTorch.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/hub/data_type.h"

namespace thimble::models {

constexpr uint64_t kSafetensorsLengthBytes = 8;
constexpr uint64_t kSafetensorsMaxHeader = 100'000'000;  // as the reference implementation
constexpr char kSafetensorsMetadata[] = "__metadata__";

struct SafetensorsEntry {
  std::string name;
  DataType type = DataType::kF32;
  std::vector<int64_t> sizes;
  uint64_t begin = 0, end = 0;  // in `data`; as many bytes as type and sizes say
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their offsets; each byte of `data` in one of them
  std::map<std::string, std::string> metadata;
  std::string_view data;
};

// `bytes` is the whole file, `path` its name for messages. Untrusted input: header length, JSON depth,
// offsets, sizes, overlaps, dtypes and shapes are checked. Error (exit 2) naming file and tensor.
SafetensorsHeader ParseSafetensorsHeader(const std::string& path, std::string_view bytes);

}  // namespace thimble::models
