// What every fuzz program shares: reading may fail in one way only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace thimble {

// `read` may throw Error, as of a bad request. Anything else ends the program, which libFuzzer reports.
template <typename Read>
int Expecting(const uint8_t* data, size_t size, const Read& read) {
  try {
    read(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const Error& error) {
    if (error.code() != kBadRequest) throw;
  }
  return 0;
}

}  // namespace thimble
