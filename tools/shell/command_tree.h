// The commands as data: what completions and the manual are made of.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace thimble::tools {

struct OptionFacts {
  std::vector<std::string> names;  // "--help", "-h"; of an argument its name: "model"
  std::string help;
  bool takes_value = false;
  bool required = false;
  bool several = false;              // arguments: more than one
  std::vector<std::string> choices;  // all that it accepts; empty: anything
};

struct ExampleFacts {
  std::string line, what;  // line: behind "thimble "
};

struct CommandFacts {
  std::string path;  // "data check"; empty: the program
  std::string summary;
  std::vector<OptionFacts> options;    // its own, then those above it
  std::vector<OptionFacts> arguments;  // in their order
  std::vector<std::string> commands;   // names of those below
  std::vector<ExampleFacts> examples;
};

// Depth first: a command stands before those below it.
std::vector<CommandFacts> CommandTree(const CLI::App& program);

// Puts the examples of tools/examples.inc under the --help of their commands.
void AddExamples(CLI::App* program);

// A script that completes commands, options and values. `shell`: bash, zsh, fish.
std::string Completions(const std::vector<CommandFacts>& commands, const std::string& shell);
// thimble(1), in man's language. `version`: "thimble 0.1.0".
std::string ManualPage(const std::vector<CommandFacts>& commands, const std::string& version);

}  // namespace thimble::tools
