#include "base/text_literal.h"

#include <cstdint>
#include <cstdio>

namespace thimble {

std::string TextLiteral(std::string_view text) {
  std::string literal = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      literal += std::string("\\") + c;
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      char octal[8];
      std::snprintf(octal, sizeof(octal), "\\%03o", static_cast<unsigned>(c));
      literal += octal;
    } else {
      literal += c;
    }
  }
  return literal + "\"";
}

}  // namespace thimble
