#include "tools/shell/command_line.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <regex>

#include "base/error.h"
#include "base/spelling.h"
#include "tools/shell/standard_output.h"

namespace thimble::tools {
namespace {

// Begins every argument behind "--": CLI11 would take one that begins with a dash for an option where the
// command has all the texts that it needs.
constexpr char kText = '\x01';

// Reversed, as CLI11 takes them; without the program's name.
std::vector<std::string> Arguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  bool texts = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (!texts && argument == "--") {
      texts = true;
    } else {
      arguments.push_back(texts ? kText + argument : argument);
    }
  }
  return {arguments.rbegin(), arguments.rend()};
}

std::string Unmarked(std::string argument) {
  if (argument.starts_with(kText)) argument.erase(0, 1);
  return argument;
}

// The innermost command that was named, and all of their names: "data check".
struct Named {
  const CLI::App* app;
  std::string name;
};
Named InnermostOf(const CLI::App& app) {
  Named named{&app, app.get_name()};
  for (auto below = named.app->get_subcommands(); !below.empty(); below = named.app->get_subcommands()) {
    named.name = named.app == &app ? below.front()->get_name() : named.name + " " + below.front()->get_name();
    named.app = below.front();
  }
  return named;
}

// What may stand behind the innermost command: its options and, as it hands on what it does not know, those
// above it.
std::vector<std::string> OptionsOf(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent())
    for (const auto* option : app->get_options())
      for (const auto& name : option->get_lnames())
        if (std::find(names.begin(), names.end(), "--" + name) == names.end()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> CommandsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool IsOption(const std::string& argument) { return argument.size() > 1 && argument[0] == '-'; }

// "--rows: Value x not in range 0.000000 to 1797693...": what CLI11 says of a number outside its bounds,
// which it prints in full.
std::optional<Error> OutOfRange(const std::string& place, const std::string& said) {
  static const std::regex kForm(R"((.*): Value (.*) not in range (\S+) to (\S+))");
  std::smatch match;
  if (!std::regex_match(said, match, kForm)) return std::nullopt;
  const double least = std::stod(match[3]), most = std::stod(match[4]);
  const auto plain = [](double number) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.15g", number);
    return std::string(text);
  };
  std::string accepted = "a number from " + plain(least) + " to " + plain(most);
  // Bounds of CLI::PositiveNumber and CLI::NonNegativeNumber.
  if (most > 1e300) accepted = match[2] == "0" ? "a number above 0" : "a number from 0 on";
  return BadRequest(place, match[1].str() + ": out of range", match[2], accepted);
}

// What the user is to mend first.
Error Mistake(const CLI::App& app, const CLI::ParseError& error) {
  const auto [innermost, name] = InnermostOf(app);
  const std::string place = innermost == &app ? "" : name;
  if (const auto range = OutOfRange(place, error.what())) return *range;
  const auto plain =
      BadRequest(place, error.what(), "", "see thimble " + (place.empty() ? "" : place + " ") + "--help");
  // What else is wrong, such as a value, was met before all arguments were read.
  const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
  if (code != CLI::ExitCodes::ExtrasError && code != CLI::ExitCodes::RequiredError &&
      code != CLI::ExitCodes::Success)
    return plain;
  const auto commands = CommandsOf(*innermost);
  const bool commandless = !commands.empty() && innermost->get_subcommands().empty();
  const auto left = app.remaining(/*recurse=*/true);
  // Options behind an unknown command are its own.
  if (commandless && !left.empty() && !IsOption(left.front()))
    return BadRequest(place,
                      "unknown command '" + Unmarked(left.front()) + "'" + DidYouMean(left.front(), commands),
                      "", Listed(commands));
  const auto unknown = std::find_if(left.begin(), left.end(), IsOption);
  if (unknown != left.end()) {
    const std::string option = unknown->substr(0, unknown->find('='));
    const auto options = OptionsOf(innermost);
    const std::string near = DidYouMean(option, options);
    return BadRequest(place, "unknown option " + option + near, "", near.empty() ? Listed(options) : "");
  }
  if (commandless) return BadRequest(place, "a command is missing", "", Listed(commands));
  if (!left.empty())
    return BadRequest(place, "takes no further argument", "'" + Unmarked(left.front()) + "'");
  return plain;
}

}  // namespace

CommandLine::CommandLine()
    : app_("Finds, distils and ships a small BERT for one task on one kind of machine.", "thimble") {
  app_.set_version_flag("--version", std::string("thimble " THIMBLE_VERSION));
  app_.require_subcommand(1);
  app_.add_option("--log-format", log_format_, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}));
}

void CommandLine::AddName(const std::string& name, const std::string& summary) {
  app_.add_subcommand(name, summary)->prefix_command()->set_help_flag();
}

void CommandLine::KeepTexts(CLI::App& app) {
  for (auto* option : app.get_options([](const CLI::Option* each) { return each->get_positional(); }))
    option->transform(Unmarked);
  for (auto* command : app.get_subcommands([](const CLI::App*) { return true; })) KeepTexts(*command);
}

bool CommandLine::Parse(int argc, const char* const* argv) {
  KeepTexts(app_);
  try {
    app_.parse(Arguments(argc, argv));
  } catch (const CLI::Success& success) {
    const auto [innermost, name] = InnermostOf(app_);
    if (innermost->get_prefix_command()) return true;  // its own help
    if (innermost == &app_ && !app_.remaining().empty()) throw Mistake(app_, success);
    app_.exit(success);
    return false;
  } catch (const CLI::ParseError& error) {
    throw Mistake(app_, error);
  }
  return true;
}

int ExitCodeOf(const std::function<void()>& body) {
  int code = kFailed;
  std::string message;
  try {
    body();
    FlushOutput();
    return kDone;
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  } catch (const std::exception& error) {
    message = error.what();
  }
  std::fprintf(stderr, "thimble: %s\n", message.c_str());
  return code;
}

}  // namespace thimble::tools
