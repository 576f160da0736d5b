// thimble: one binary, one subcommand a file in tools/commands.
//
//   thimble search my-study
//   thimble --help
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "tools/common.h"
#include "tools/standard_output.h"
#include "train/cohort.h"
#include "train/memory.h"

namespace thimble {
namespace {

int Run(int argc, char** argv) {
  CLI::App app{"Finds, distils and ships a small BERT for one task on one kind of machine.", "thimble"};
  app.set_version_flag("--version", std::string("thimble " THIMBLE_VERSION));
  app.require_subcommand(1);
  std::string log_format = "text";
  app.add_option("--log-format", log_format, "text, or json: one object a line")->check(CLI::IsMember({"text", "json"}));
  std::function<void()> action;
#define COMMAND(id)                                      \
  {                                                      \
    const auto entry = tools::id##_command();            \
    auto* command = app.add_subcommand(entry.name, entry.summary); \
    auto run = entry.add(*command);                      \
    command->callback([&action, run] { action = run; }); \
    command->fallthrough();                              \
  }
#include "tools/commands.inc"
#undef COMMAND
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kDone : kBadRequest;
  }
  SetLog(log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  InstallInterruptHandler();
  train::TuneAllocator();
  action();
  return kDone;
}

}  // namespace
}  // namespace thimble

int main(int argc, char** argv) {
  thimble::tools::PrepareOutput();
  // Waiting threads that spin take the core from those that work when cores are shared. The OpenMP runtime reads this when it
  // is loaded, before main: the program starts itself once more with it set.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    ::setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
    ::execv("/proc/self/exe", argv);
  }
  try {
    const int code = thimble::Run(argc, argv);
    thimble::tools::FlushOutput();
    return code;
  } catch (const thimble::Error& error) {
    std::fprintf(stderr, "thimble: %s\n", error.what());
    return error.code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "thimble: %s\n", error.what());
    return thimble::kFailed;
  }
}
