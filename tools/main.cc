// thimble: one program, one subcommand a file in tools/commands.
//
//   thimble search my-study
//   thimble --help
//
// This file knows the commands' names alone: help, version and a misspelt command are answered at once. What
// works lies in libthimble_commands.so, beside the program or where it was installed; loading it brings
// LibTorch in.
#include <dlfcn.h>

#include <cstdlib>

#include "base/error.h"
#include "tools/shell/command_line.h"
#include "tools/shell/standard_output.h"

namespace thimble::tools {
namespace {

constexpr char kLibrary[] = "libthimble_commands.so";

// Global, as if the program had been linked with it: libraries that LibTorch loads later find its names.
auto* LoadCommand() {
  void* library = ::dlopen(kLibrary, RTLD_LAZY | RTLD_GLOBAL);
  if (library == nullptr)
    throw WorkFailed(
        kLibrary,
        std::string("cannot be loaded (it belongs beside the program or in ../lib): ") + ::dlerror());
  void* symbol = ::dlsym(library, "thimble_command");
  THIMBLE_CHECK(symbol != nullptr, kLibrary);
  return reinterpret_cast<decltype(&thimble_command)>(symbol);
}

int Main(int argc, char** argv) {
  PrepareOutput();
  decltype(&thimble_command) command = nullptr;
  const int code = ExitCodeOf([&] {
    CommandLine line;
#define COMMAND(name, summary) line.AddName(#name, summary);
#include "tools/commands.inc"
#undef COMMAND
    if (!line.Parse(argc, argv)) return;
    // Waiting threads that spin take the core from those that work when cores are shared. The OpenMP runtime
    // reads this when it is loaded.
    ::setenv("OMP_WAIT_POLICY", "PASSIVE", /*overwrite=*/0);
    command = LoadCommand();
  });
  return command == nullptr ? code : command(argc, argv);
}

}  // namespace
}  // namespace thimble::tools

int main(int argc, char** argv) { return thimble::tools::Main(argc, argv); }
