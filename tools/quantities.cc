#include "tools/quantities.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace thimble::tools {

int64_t ParseCount(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string suffix = end;
  const double unit = suffix.empty()                   ? 1
                      : suffix == "k" || suffix == "K" ? 1e3
                      : suffix == "M" || suffix == "m" ? 1e6
                      : suffix == "G" || suffix == "B" ? 1e9
                                                       : 0;
  if (end == text.c_str() || unit == 0 || !(number > 0) || !std::isfinite(number))
    throw BadRequest(option, "not a count", text, "a number above 0 with k, M or G, e.g. 9.5M");
  return std::llround(number * unit);
}

double ParseMilliseconds(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string suffix = end;
  const double unit = suffix.empty() || suffix == "ms" ? 1 : suffix == "s" ? 1e3 : suffix == "us" ? 1e-3 : 0;
  if (end == text.c_str() || unit == 0 || !(number > 0) || !std::isfinite(number))
    throw BadRequest(option, "not a time", text, "a number above 0 with us, ms or s, e.g. 5ms");
  return number * unit;
}

std::string Decimal(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string Millions(int64_t count) { return Decimal(static_cast<double>(count) / 1e6, 3) + "M"; }

}  // namespace thimble::tools
