// The commands of the program: a file each in tools/commands, a line each in commands.inc.
#pragma once
#include <functional>

namespace CLI {
class App;
}

namespace thimble::tools {

// A command adds its options to the program's subcommand and returns what runs once they are parsed.
#define COMMAND(name, summary) std::function<void()> name##_command(CLI::App& app);
#include "tools/commands.inc"
#undef COMMAND

}  // namespace thimble::tools
