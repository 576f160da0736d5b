#include "models/hub/safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/error.h"
#include "models/hub/json.h"

namespace thimble::models {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, tensors are copied as they are");

using nlohmann::json;

constexpr size_t kMaxDimensions = 64;  // as LibTorch

// Reads one entry of the header, `size` bytes of tensors behind it.
class EntryReader {
 public:
  EntryReader(const std::string& path, const std::string& name, const json& value)
      : where_(path + ", tensor '" + name + "'"), value_(value) {
    entry_.name = name;
  }

  SafetensorsEntry Read(uint64_t size) {
    if (!value_.is_object()) throw BadRequest(where_, "its header entry is not an object");
    ReadType();
    const uint64_t bytes = ReadShape();
    const std::vector<uint64_t> offsets = Numbers("data_offsets");
    if (offsets.size() != 2) {
      throw BadRequest(where_, "data_offsets has the wrong length", std::to_string(offsets.size()),
                       "2 numbers");
    }
    entry_.begin = offsets[0];
    entry_.end = offsets[1];
    const std::string span = "[" + std::to_string(entry_.begin) + ", " + std::to_string(entry_.end) + ")";
    if (entry_.begin > entry_.end || entry_.end > size) {
      throw BadRequest(where_, "data_offsets lie outside the file", span,
                       "between 0 and " + std::to_string(size) + ", ascending");
    }
    if (entry_.end - entry_.begin != bytes) {
      throw BadRequest(where_, "data_offsets disagree with dtype and shape", span,
                       std::to_string(bytes) + " bytes");
    }
    return entry_;
  }

 private:
  void ReadType() {
    const auto found = value_.find("dtype");
    if (found == value_.end() || !found->is_string())
      throw BadRequest(where_, "dtype is missing or not a string");
    const std::string name = found->get<std::string>();
    if (const auto type = DataTypeOfSafetensors(name)) {
      entry_.type = *type;
      return;
    }
    throw BadRequest(where_, "unknown dtype", "'" + name + "'", SafetensorsNames());
  }

  std::vector<uint64_t> Numbers(const char* field) const {
    const auto found = value_.find(field);
    if (found == value_.end() || !found->is_array()) {
      throw BadRequest(where_, std::string(field) + " is missing or not an array");
    }
    if (found->size() > kMaxDimensions) {
      throw BadRequest(where_, std::string(field) + " is too long", std::to_string(found->size()),
                       "at most " + std::to_string(kMaxDimensions) + " numbers");
    }
    std::vector<uint64_t> numbers;
    for (const json& number : *found) {
      if (!number.is_number_unsigned()) {
        throw BadRequest(where_, std::string(field) + " holds something else than natural numbers",
                         number.dump());
      }
      numbers.push_back(number.get<uint64_t>());
    }
    return numbers;
  }

  // The number of bytes. An empty dimension does not excuse others whose product overflows: LibTorch computes
  // strides.
  uint64_t ReadShape() {
    constexpr uint64_t limit = std::numeric_limits<int64_t>::max();
    const uint64_t item = ItemBytes(entry_.type);
    uint64_t bytes = item;
    bool empty = false;
    for (const uint64_t size : Numbers("shape")) {
      empty |= size == 0;
      if (size > limit / bytes) throw BadRequest(where_, "its shape overflows", value_["shape"].dump());
      bytes *= std::max<uint64_t>(size, 1);
      entry_.sizes.push_back(static_cast<int64_t>(size));
    }
    return empty ? 0 : bytes;
  }

  std::string where_;
  const json& value_;
  SafetensorsEntry entry_;
};

json ReadHeader(const std::string& path, std::string_view bytes, uint64_t* data_begin) {
  if (bytes.size() < kSafetensorsLengthBytes) {
    throw BadRequest(path, "not a safetensors file: too short for a header",
                     std::to_string(bytes.size()) + " bytes");
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kSafetensorsLengthBytes);
  if (length > kSafetensorsMaxHeader || length > bytes.size() - kSafetensorsLengthBytes) {
    throw BadRequest(path, "not a safetensors file, or a truncated one: its header is longer than it may be",
                     std::to_string(length) + " bytes in a file of " + std::to_string(bytes.size()),
                     "at most " + std::to_string(kSafetensorsMaxHeader) + " bytes, inside the file");
  }
  *data_begin = kSafetensorsLengthBytes + length;
  json header = ParseJson(bytes.substr(kSafetensorsLengthBytes, length), path + ", header", 3);
  if (!header.is_object()) throw BadRequest(path + ", header", "not a JSON object");
  return header;
}

std::map<std::string, std::string> ReadMetadata(const std::string& path, const json& value) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) throw BadRequest(path + ", header", "__metadata__ is not an object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) throw BadRequest(path + ", header", "__metadata__ '" + key + "' is not a string");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

// The tensors must cover the bytes behind the header, each byte once, as the format demands.
void CheckCover(const std::string& path, const std::vector<SafetensorsEntry>& entries, uint64_t size) {
  uint64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin == covered) {
      covered = entry.end;
      continue;
    }
    throw BadRequest(
        path + ", tensor '" + entry.name + "'",
        entry.begin < covered ? "overlaps the tensor before it" : "leaves a gap to the tensor before it",
        "begins at " + std::to_string(entry.begin), "at " + std::to_string(covered));
  }
  if (covered != size) {
    throw BadRequest(path, "bytes behind the last tensor", std::to_string(size - covered) + " bytes");
  }
}

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(const std::string& path, std::string_view bytes) {
  uint64_t begin = 0;
  const json header = ReadHeader(path, bytes, &begin);
  SafetensorsHeader result;
  result.data = bytes.substr(begin);
  for (const auto& [name, value] : header.items()) {
    if (name == kSafetensorsMetadata) {
      result.metadata = ReadMetadata(path, value);
    } else {
      result.entries.push_back(EntryReader(path, name, value).Read(result.data.size()));
    }
  }
  std::sort(result.entries.begin(), result.entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  CheckCover(path, result.entries, result.data.size());
  return result;
}

}  // namespace thimble::models
