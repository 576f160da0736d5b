// A progress bar on a terminal (base/status.h), a line now and then when piped.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace thimble {

// One running task of `total` steps. Prints to standard error at most ten times a second on a terminal, every
// 15 seconds otherwise. Used from one thread.
class Progress {
 public:
  Progress(std::string what, int64_t total);
  ~Progress();                                              // on a terminal the last state stays as a message
  void Update(int64_t done, const std::string& note = "");  // note: e.g. "loss 3.41"

 private:
  std::string what_;
  int64_t total_, first_ = -1;
  bool terminal_;
  std::string line_;  // as drawn last
  std::chrono::steady_clock::time_point start_, last_;
};

std::string Duration(double seconds);  // "1 h 02 min", "3 min 10 s", "12.3 s"

}  // namespace thimble
