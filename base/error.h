// The two doors for what goes wrong: Error for what a user can fix, THIMBLE_CHECK for a broken invariant.
#pragma once
#include <stdexcept>
#include <string>

namespace thimble {

// Exit codes of the binary.
enum ExitCode { kDone = 0, kFailed = 1, kBadRequest = 2, kInterrupted = 130 };

// Something a user can fix. The message says what was being done, where, what was given and what is accepted.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = kBadRequest)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// "WHERE: PROBLEM; got GOT; accepted: ACCEPTED". Empty parts are left out.
[[nodiscard]] Error BadRequest(const std::string& where, const std::string& problem,
                               const std::string& got = "", const std::string& accepted = "");

// The work itself failed (disk full, file vanished): exit code 1.
[[nodiscard]] Error WorkFailed(const std::string& where, const std::string& problem);

// Ctrl-C or SIGTERM was seen; state has been saved. Exit code 130.
class Interrupted : public Error {
 public:
  Interrupted()
      : Error("interrupted; the state is saved, the same command goes on from here", kInterrupted) {}
};

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const std::string& values);
}

}  // namespace thimble

// A broken invariant: throws std::logic_error with place, condition and `values` (a std::string).
#define THIMBLE_CHECK(condition, values) \
  ((condition) ? (void)0 : ::thimble::internal::CheckFailed(__FILE__, __LINE__, #condition, (values)))
