// Content hashes for caches, identities and de-duplication. Not for security.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace thimble {

uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);  // XXH3
std::string HashHex(std::string_view bytes);                 // XXH3-128 as 32 hex digits
std::string HashFile(const std::string& path);  // of the file's bytes; Error if it cannot be read

}  // namespace thimble
