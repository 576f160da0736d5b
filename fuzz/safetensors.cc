#include "fuzz/fuzz.h"
#include "models/hub/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return thimble::Expecting(data, size, [](std::string_view bytes) {
    const auto header = thimble::models::ParseSafetensorsHeader("fuzz.safetensors", bytes);
    uint64_t covered = 0;
    for (const auto& entry : header.entries) {
      THIMBLE_CHECK(entry.end >= entry.begin && entry.end <= header.data.size(), entry.name);
      covered += entry.end - entry.begin;
    }
    THIMBLE_CHECK(covered == header.data.size(), "bytes outside tensors");
  });
}
