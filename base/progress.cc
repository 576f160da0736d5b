#include "base/progress.h"

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/status.h"

namespace thimble {

using Clock = std::chrono::steady_clock;

Progress::Progress(std::string what, int64_t total)
    : what_(std::move(what)),
      total_(std::max<int64_t>(total, 1)),
      terminal_(HasStatus()),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (line_.empty()) return;
  ClearStatus(StatusLine::kProgress);
  Info(line_);
}

void Progress::Update(int64_t done, const std::string& note) {
  if (first_ < 0) first_ = done;  // a resumed task does not start from 0: its rate must not count the past
  const auto now = Clock::now();
  const double gap = std::chrono::duration<double>(now - last_).count();
  if (gap < (terminal_ ? 0.1 : 15) && done != total_) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0 ? (done - first_) / seconds : 0;
  std::string line = what_ + " " + std::to_string(done) + "/" + std::to_string(total_);
  char numbers[64];
  std::snprintf(numbers, sizeof(numbers), ", %.3g/s", rate);
  if (rate > 0) line += numbers;
  if (done < total_ && rate > 0) line += ", " + Duration((total_ - done) / rate) + " left";
  if (!note.empty()) line += ", " + note;
  if (!terminal_) {
    Info(line);
    return;
  }
  const int width = 20, filled = static_cast<int>(width * done / total_);
  line_ = line;
  SetStatus(StatusLine::kProgress, "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]",
            line);
}

std::string Duration(double seconds) {
  char text[64];
  const long whole = static_cast<long>(seconds + 0.5);
  if (whole >= 3600)
    std::snprintf(text, sizeof(text), "%ld h %02ld min", whole / 3600, whole % 3600 / 60);
  else if (whole >= 60)
    std::snprintf(text, sizeof(text), "%ld min %02ld s", whole / 60, whole % 60);
  else
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
  return text;
}

}  // namespace thimble
