#pragma once
#include <string>

namespace thimble {

std::string FourDigits(double value);  // four significant ones, for people: "0.8612", "1.2e+06"

}  // namespace thimble
