// Scripts of shells: static text, so that completing starts no program.
#include <map>

#include "base/error.h"
#include "tools/shell/command_tree.h"

namespace thimble::tools {
namespace {

std::string Joined(const std::vector<std::string>& words, const std::string& between = " ") {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

// For a shell, between single quotes. `before`: what is put before each ' (sh closes and opens anew).
std::string Quoted(const std::string& text, const std::string& quote = "'\\''") {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? quote : std::string(1, c);
  return quoted + "'";
}

// The first clause of a help text: what has room beside a word.
std::string Short(const std::string& help) {
  std::string text = help.substr(0, help.find_first_of(";\n"));
  constexpr size_t kRoom = 70;
  if (text.size() > kRoom) text = text.substr(0, text.rfind(' ', kRoom)) + " ...";
  return text;
}

std::vector<std::string> Names(const CommandFacts& command) {
  std::vector<std::string> names;
  for (const auto& option : command.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

// " data"|" init"|"data check": paths as the scripts' loops build them up, one word more at a time.
std::string Steps(const std::vector<CommandFacts>& commands, const std::string& quote) {
  std::vector<std::string> steps;
  for (const auto& command : commands)
    if (!command.path.empty())
      steps.push_back(quote + (command.path.find(' ') == std::string::npos ? " " : "") + command.path +
                      quote);
  return Joined(steps, "|");
}

// The values of options, for `case "$command $previous"`; options of the same name and values as one.
template <typename Write>
std::string ValueCases(const std::vector<CommandFacts>& commands, const Write& write) {
  std::string text;
  for (const auto& command : commands)
    for (const auto& option : command.options)
      if (!option.choices.empty())
        for (const auto& name : option.names) text += write(command.path + " " + name, option.choices);
  return text;
}

// What an argument may be, where that is a list.
const OptionFacts* ListedArgument(const CommandFacts& command) {
  for (const auto& argument : command.arguments)
    if (!argument.choices.empty()) return &argument;
  return nullptr;
}

std::string Bash(const std::vector<CommandFacts>& commands) {
  std::string text = R"(# bash completion of thimble, written by `thimble completions bash`
_thimble() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command= words= i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
      )" + Steps(commands, "\"") +
                     R"() command="${command:+$command }${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$command $previous" in
)";
  text += ValueCases(commands, [](const std::string& at, const std::vector<std::string>& choices) {
    return "    \"" + at + "\") COMPREPLY=($(compgen -W \"" + Joined(choices) +
           "\" -- \"$current\")); return 0 ;;\n";
  });
  text += "  esac\n  case \"$command\" in\n";
  for (const auto& command : commands) {
    const auto* listed = ListedArgument(command);
    text += "    \"" + command.path + "\") if [[ $current == -* ]]; then words=\"" + Joined(Names(command)) +
            "\"";
    if (!command.commands.empty() || listed != nullptr)
      text += "; else words=\"" + Joined(listed != nullptr ? listed->choices : command.commands) + "\"";
    text += "; fi ;;\n";
  }
  // Without words: files, by -o default.
  return text + R"(  esac
  if [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$current")); fi
}
complete -o default -F _thimble thimble
)";
}

// name:help for _describe, which takes colons for its own.
std::string Described(const std::string& name, const std::string& help) {
  std::string text = name + ":";
  for (const char c : Short(help)) text += c == ':' ? std::string("\\:") : std::string(1, c);
  return Quoted(text);
}

std::string Zsh(const std::vector<CommandFacts>& commands) {
  std::map<std::string, std::string> summaries;
  for (const auto& command : commands) summaries[command.path] = command.summary;
  std::string text = R"(#compdef thimble
# zsh completion of thimble, written by `thimble completions zsh`
_thimble() {
  local -a found
  local command= word
  for word in "${(@)words[2,CURRENT-1]}"; do
    case "$command $word" in
      ()" + Steps(commands, "\"") +
                     R"() command="${command:+$command }$word" ;;
    esac
  done
  case "$command ${words[CURRENT-1]}" in
)";
  text += ValueCases(commands, [](const std::string& at, const std::vector<std::string>& choices) {
    return "    (\"" + at + "\") compadd -- " + Joined(choices) + "; return ;;\n";
  });
  text += "  esac\n  if [[ $PREFIX == -* ]]; then\n    case \"$command\" in\n";
  for (const auto& command : commands) {
    text += "      (\"" + command.path + "\") found=(";
    for (const auto& option : command.options)
      for (const auto& name : option.names) text += "\n        " + Described(name, option.help);
    text += ") ;;\n";
  }
  text += "    esac\n    _describe -o option found\n    return\n  fi\n  case \"$command\" in\n";
  for (const auto& command : commands) {
    if (const auto* listed = ListedArgument(command)) {
      text += "    (\"" + command.path + "\") compadd -- " + Joined(listed->choices) + "; return ;;\n";
    } else if (!command.commands.empty()) {
      text += "    (\"" + command.path + "\") found=(";
      for (const auto& name : command.commands)
        text +=
            "\n      " + Described(name, summaries[(command.path.empty() ? "" : command.path + " ") + name]);
      text += ")\n      _describe command found; return ;;\n";
    }
  }
  return text + "  esac\n  _files\n}\n_thimble \"$@\"\n";
}

std::string Fish(const std::vector<CommandFacts>& commands) {
  const std::string escaped = "\\'";
  std::map<std::string, std::string> summaries;
  for (const auto& command : commands) summaries[command.path] = command.summary;
  std::string text = "# fish completion of thimble, written by `thimble completions fish`\n";
  for (const auto& command : commands) {
    std::string seen, word;
    for (const char c : command.path + " ") {
      if (c != ' ') {
        word += c;
      } else if (!word.empty()) {
        seen += (seen.empty() ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") + word;
        word.clear();
      }
    }
    const std::string none = seen.empty()
                                 ? "__fish_use_subcommand"
                                 : seen + "; and not __fish_seen_subcommand_from " + Joined(command.commands);
    for (const auto& name : command.commands)
      text += "complete -c thimble -n '" + none + "' -f -a " + name + " -d " +
              Quoted(Short(summaries[(command.path.empty() ? "" : command.path + " ") + name]), escaped) +
              "\n";
    const std::string here = seen.empty() ? none : seen;
    if (const auto* listed = ListedArgument(command))
      text +=
          "complete -c thimble -n '" + here + "' -f -a " + Quoted(Joined(listed->choices), escaped) + "\n";
    for (const auto& option : command.options) {
      text += "complete -c thimble -n '" + here + "'";
      for (const auto& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.choices.empty()) {
        text += " -x -a " + Quoted(Joined(option.choices), escaped);
      } else if (option.takes_value) {
        text += " -r";
      }
      text += " -d " + Quoted(Short(option.help), escaped) + "\n";
    }
  }
  return text;
}

}  // namespace

std::string Completions(const std::vector<CommandFacts>& commands, const std::string& shell) {
  if (shell == "bash") return Bash(commands);
  if (shell == "zsh") return Zsh(commands);
  if (shell == "fish") return Fish(commands);
  throw BadRequest("completions", "no such shell", shell, "bash, zsh, fish");
}

}  // namespace thimble::tools
