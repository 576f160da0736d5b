#include "tools/shell/command_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace thimble::tools {
namespace {

struct Example {
  const char *command, *line, *what;
};
constexpr Example kExamples[] = {
#define EXAMPLE(command, line, what) {command, line, what},
#include "tools/examples.inc"
#undef EXAMPLE
};

// Of "TEXT:{text,json}": what CLI11's IsMember says of itself.
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{'), end = type.rfind('}');
  std::vector<std::string> choices;
  if (begin == std::string::npos || end == std::string::npos) return choices;
  std::string name;
  for (const char c : type.substr(begin + 1, end - begin - 1) + ",") {
    if (c != ',') {
      name += c;
    } else if (!name.empty()) {
      choices.push_back(std::exchange(name, ""));
    }
  }
  return choices;
}

OptionFacts FactsOf(const CLI::Option& option) {
  OptionFacts facts{.names = {},
                    .help = option.get_description(),
                    .takes_value = option.get_items_expected_max() > 0,
                    .required = option.get_required(),
                    .several = option.get_items_expected_max() > 1,
                    .choices = ChoicesOf(option)};
  if (option.get_positional()) {
    facts.names.push_back(option.get_name(/*positional=*/true));
    return facts;
  }
  for (const auto& name : option.get_lnames()) facts.names.push_back("--" + name);
  for (const auto& name : option.get_snames()) facts.names.push_back("-" + name);
  return facts;
}

void Walk(const CLI::App& app, const std::string& path, std::vector<CommandFacts>* commands) {
  CommandFacts facts{.path = path, .summary = app.get_description()};
  for (const CLI::App* each = &app; each != nullptr; each = each->get_parent()) {
    for (const auto* option : each->get_options()) {
      auto found = FactsOf(*option);
      if (option->get_positional()) {
        if (each == &app) facts.arguments.push_back(std::move(found));
        continue;
      }
      const auto same = [&](const OptionFacts& other) { return other.names == found.names; };
      if (std::none_of(facts.options.begin(), facts.options.end(), same))
        facts.options.push_back(std::move(found));
    }
  }
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* command : below) facts.commands.push_back(command->get_name());
  for (const auto& [command, line, what] : kExamples)
    if (command == path) facts.examples.push_back({line, what});
  commands->push_back(std::move(facts));
  for (const auto* command : below)
    Walk(*command, (path.empty() ? "" : path + " ") + command->get_name(), commands);
}

void SetFooters(CLI::App* app, const std::string& path) {
  std::string text;
  for (const auto& [command, line, what] : kExamples)
    if (command == path || std::string(command).starts_with(path + " "))
      text += std::string("  thimble ") + line + "\n      " + what + "\n";
  if (!path.empty() && !text.empty()) app->footer("Examples:\n" + text.substr(0, text.size() - 1));
  for (auto* below : app->get_subcommands([](CLI::App*) { return true; }))
    SetFooters(below, (path.empty() ? "" : path + " ") + below->get_name());
}

}  // namespace

std::vector<CommandFacts> CommandTree(const CLI::App& program) {
  std::vector<CommandFacts> commands;
  Walk(program, "", &commands);
  return commands;
}

void AddExamples(CLI::App* program) { SetFooters(program, ""); }

}  // namespace thimble::tools
