#include "base/number_text.h"

#include <cstdio>

namespace thimble {

std::string FourDigits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace thimble
