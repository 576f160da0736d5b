#include "base/error.h"

namespace thimble {

Error BadRequest(const std::string& where, const std::string& problem, const std::string& got,
                 const std::string& accepted) {
  std::string message = where.empty() ? problem : where + ": " + problem;
  if (!got.empty()) message += "; got " + got;
  if (!accepted.empty()) message += "; accepted: " + accepted;
  return Error(message);
}

Error WorkFailed(const std::string& where, const std::string& problem) {
  return Error(where.empty() ? problem : where + ": " + problem, kFailed);
}

namespace internal {
void CheckFailed(const char* file, int line, const char* condition, const std::string& values) {
  throw std::logic_error(std::string("internal error at ") + file + ":" + std::to_string(line) +
                         ": expected " + condition + " (" + values + "). Please report this.");
}
}  // namespace internal

}  // namespace thimble
