#include "base/status.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/log.h"

namespace thimble {
namespace {

using Clock = std::chrono::steady_clock;

struct Screen {
  std::recursive_mutex mutex;
  std::map<StatusLine, std::pair<std::string, std::string>> lines;
  int drawn = 0;  // lines on the terminal; the cursor stands behind the last
  Clock::time_point last{};
};

// Never destroyed: threads may print until the end.
Screen& TheScreen() {
  static Screen* screen = new Screen;
  return *screen;
}

int Columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string Erasing(int lines) {
  std::string text = lines > 0 ? "\r\x1b[K" : "";
  for (int i = 1; i < lines; ++i) text += "\x1b[A\x1b[K";
  return text;
}

// In one write, so that nothing flickers.
void Draw(Screen* screen) {
  std::string text = Erasing(screen->drawn);
  const int columns = Columns();
  screen->drawn = 0;
  for (const auto& [place, line] : screen->lines)
    text += (screen->drawn++ > 0 ? "\n" : "") + StatusText(line.first, line.second, columns, HasColours());
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
  screen->last = Clock::now();
}

void Erase(Screen* screen) {
  std::fputs(Erasing(screen->drawn).c_str(), stderr);
  screen->drawn = 0;
}

}  // namespace

bool HasStatus() {
  static const bool terminal = [] {
    const char* term = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) && (term == nullptr || std::strcmp(term, "dumb") != 0);
  }();
  return terminal && CurrentLogFormat() == LogFormat::kText;
}

bool HasColours() {
  const char* none = std::getenv("NO_COLOR");
  return HasStatus() && (none == nullptr || *none == '\0');
}

std::string StatusText(const std::string& label, const std::string& text, int columns, bool colours) {
  // A line that fills the last column would wrap on some terminals.
  const std::string whole = (label.empty() || text.empty() ? label + text : label + " " + text)
                                .substr(0, columns > 1 ? columns - 1 : 0);
  if (!colours || label.empty()) return whole;
  const size_t end = std::min(label.size(), whole.size());
  return "\x1b[1m" + whole.substr(0, end) + "\x1b[0m" + whole.substr(end);
}

void SetStatus(StatusLine line, const std::string& label, const std::string& text) {
  if (!HasStatus()) return;
  Screen& screen = TheScreen();
  const std::lock_guard lock(screen.mutex);
  const auto [place, is_new] = screen.lines.try_emplace(line);
  place->second = {label, text};
  if (is_new || std::chrono::duration<double>(Clock::now() - screen.last).count() >= 0.1) Draw(&screen);
}

void ClearStatus(StatusLine line) {
  if (!HasStatus()) return;
  Screen& screen = TheScreen();
  const std::lock_guard lock(screen.mutex);
  if (screen.lines.erase(line) > 0) Draw(&screen);
}

void AboveStatus(const std::function<void()>& print) {
  if (!HasStatus()) {
    print();
    return;
  }
  Screen& screen = TheScreen();
  const std::lock_guard lock(screen.mutex);
  Erase(&screen);
  print();
  if (!screen.lines.empty()) Draw(&screen);
}

}  // namespace thimble
