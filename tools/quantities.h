// Counts and times as people write them.
#pragma once
#include <cstdint>
#include <string>

namespace thimble::tools {

int64_t ParseCount(const std::string& option, const std::string& text);        // "10M", "1.5k", "200000"
double ParseMilliseconds(const std::string& option, const std::string& text);  // "5ms", "0.2s", "5"
std::string Millions(int64_t count);                                           // "15.738M"
std::string Decimal(double value, int digits);

}  // namespace thimble::tools
