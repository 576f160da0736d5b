#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <set>

#include "base/status.h"

namespace thimble {
namespace {
LogFormat current = LogFormat::kText;

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
      continue;
    }
    out += c;
  }
  return out;
}

spdlog::logger& Logger() {
  static auto logger = [] {
    auto made = spdlog::stderr_color_mt("thimble");
    made->set_pattern("%v");
    return made;
  }();
  return *logger;
}

void Write(spdlog::level::level_enum level, const std::string& message) {
  AboveStatus([&] {
    if (current == LogFormat::kJson)
      Logger().log(level, Escaped(message));
    else if (level == spdlog::level::warn)
      Logger().log(level, "warning: " + message);
    else
      Logger().log(level, message);
  });
}
}  // namespace

void SetLog(LogFormat format) {
  current = format;
  Logger().set_pattern(
      format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%v"})" : "%v");
}
LogFormat CurrentLogFormat() { return current; }
void Info(const std::string& message) { Write(spdlog::level::info, message); }
void Warn(const std::string& message) { Write(spdlog::level::warn, message); }
void WarnOnce(const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(message).second) Warn(message);
}

}  // namespace thimble
