// The command line from outside: the names of the commands, help, version and mistakes, all without what the
// commands work with.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace thimble::tools {

class CommandLine {
 public:
  CommandLine();
  CLI::App& app() { return app_; }
  void AddName(const std::string& name,
               const std::string& summary);  // a command that takes whatever stands behind it
  bool json_log() const { return log_format_ == "json"; }

  // False if all is said (help, version). Error (exit 2) for a mistake; an option or a command that does not
  // exist comes before one that is missing, and is named with the nearest that exists.
  bool Parse(int argc, const char* const* argv);

 private:
  void KeepTexts(CLI::App& app);

  CLI::App app_;
  std::string log_format_ = "text";
};

// Runs `body` and sees that what it printed arrives (FlushOutput). What it throws is said on standard error
// and gives the program's exit code.
int ExitCodeOf(const std::function<void()>& body);

// What the program does once its command line names a command: in libthimble_commands.so, which holds all
// that works. Returns the exit code.
extern "C" int thimble_command(int argc, char** argv);

}  // namespace thimble::tools
