// Strings in text protobuf.
#pragma once
#include <string>
#include <string_view>

namespace thimble {

// `text` in quotes, as text protobuf reads it back: quotes, backslashes and control characters escaped, other
// bytes as they are.
std::string TextLiteral(std::string_view text);

}  // namespace thimble
