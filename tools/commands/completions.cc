// thimble completions bash|zsh|fish|man: what a shell completes, and the manual page.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "tools/command.h"
#include "tools/shell/command_tree.h"

namespace thimble::tools {
namespace of_completions {
namespace {

std::function<void()> Add(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  app.add_option("shell", *shell, "a script for this shell; man: the manual page")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
  const CLI::App* program = app.get_parent();
  return [shell, program] {
    const auto commands = CommandTree(*program);
    std::fputs(
        (*shell == "man" ? ManualPage(commands, program->version()) : Completions(commands, *shell)).c_str(),
        stdout);
  };
}

}  // namespace
}  // namespace of_completions

std::function<void()> completions_command(CLI::App& app) { return of_completions::Add(app); }

}  // namespace thimble::tools
