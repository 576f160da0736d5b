// What runs a command: the inside of the program, in a library of its own (tools/main.cc).
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "tools/command.h"
#include "tools/shell/command_line.h"
#include "tools/shell/command_tree.h"
#include "train/memory.h"

namespace thimble::tools {
namespace {

void Run(int argc, char** argv) {
  CommandLine line;
  std::function<void()> action;
#define COMMAND(name, summary)                                 \
  {                                                            \
    auto* command = line.app().add_subcommand(#name, summary); \
    command->fallthrough();                                    \
    auto run = name##_command(*command);                       \
    command->callback([&action, run] { action = run; });       \
  }
#include "tools/commands.inc"
#undef COMMAND
  AddExamples(&line.app());
  if (!line.Parse(argc, argv)) return;
  SetLog(line.json_log() ? LogFormat::kJson : LogFormat::kText);
  InstallInterruptHandler();
  train::TuneAllocator();
  action();
}

}  // namespace

int thimble_command(int argc, char** argv) {
  return ExitCodeOf([&] { Run(argc, argv); });
}

}  // namespace thimble::tools
