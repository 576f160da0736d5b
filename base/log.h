// Messages to standard error through spdlog: plain lines, or one JSON object a line with --log-format json.
#pragma once
#include <string>

namespace thimble {

enum class LogFormat { kText, kJson };
void SetLog(LogFormat format);
LogFormat CurrentLogFormat();

void Info(const std::string& message);  // progress a user wants to see
void Warn(const std::string& message);  // something odd that does not stop the work
// Not again in the same words: of a file that is read several times.
void WarnOnce(const std::string& message);

}  // namespace thimble
