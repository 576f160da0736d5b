// The manual page, in the language of man(7).
#include <algorithm>

#include "data/readers/table.h"
#include "tools/shell/command_tree.h"

namespace thimble::tools {
namespace {

// Text of a line: no character of it is a request or an escape.
std::string Roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\n') {
      out += ' ';
    } else if ((c == '.' || c == '\'') && out.empty()) {
      out += std::string("\\&") + c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string Upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string Paragraph(const OptionFacts& option, bool argument) {
  std::string text = ".TP\n";
  if (argument) {
    text +=
        "\\fI" + Roff(Upper(option.names[0])) + "\\fR" + (option.required ? "" : " (may be left out)") + "\n";
  } else {
    text += "\\fB" + Roff(data::Joined(option.names)) + "\\fR" +
            (option.takes_value ? " \\fIVALUE\\fR" : "") + "\n";
  }
  text += Roff(option.help.empty() ? "." : option.help);
  // Many helps say so themselves.
  const auto unsaid = [&](const std::string& choice) {
    return option.help.find(choice) == std::string::npos;
  };
  if (std::any_of(option.choices.begin(), option.choices.end(), unsaid))
    text += ": " + Roff(data::Joined(option.choices));
  return text + "\n";
}

std::string Usage(const CommandFacts& command) {
  std::string text = ".B thimble " + Roff(command.path) + "\n";
  for (const auto& argument : command.arguments) {
    const std::string name = Upper(argument.names[0]) + (argument.several ? " ..." : "");
    text += argument.required ? ".I " + Roff(name) + "\n" : "[\\fI" + Roff(name) + "\\fR]\n";
  }
  return text + "[\\fIOPTIONS\\fR]\n";
}

}  // namespace

std::string ManualPage(const std::vector<CommandFacts>& commands, const std::string& version) {
  const CommandFacts& program = commands.front();
  std::string text =
      ".\\\" written by `thimble completions man`\n.TH THIMBLE 1 \"\" \"" + Roff(version) +
      "\" \"User Commands\"\n.SH NAME\nthimble \\- finds, distils and ships a small BERT for one task\n"
      ".SH SYNOPSIS\n.B thimble\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n" +
      Roff(program.summary) +
      "\nA text that begins with a dash goes behind a lone\n.BR \\-\\- .\n.SH OPTIONS OF EVERY COMMAND\n";
  for (const auto& option : program.options) text += Paragraph(option, false);
  text += ".SH COMMANDS\n";
  for (const auto& command : commands) {
    if (command.path.empty() || !command.commands.empty()) continue;
    text += ".SS " + Roff(command.path) + "\n" + Usage(command) + ".PP\n" + Roff(command.summary) + ".\n";
    for (const auto& argument : command.arguments) text += Paragraph(argument, true);
    const auto of_program = [&](const OptionFacts& option) {
      for (const auto& other : program.options)
        if (other.names == option.names) return true;
      return false;
    };
    for (const auto& option : command.options)
      if (!of_program(option)) text += Paragraph(option, false);
    for (const auto& [line, what] : command.examples)
      text += ".PP\n" + Roff(what) + ":\n.RS\n.nf\nthimble " + Roff(line) + "\n.fi\n.RE\n";
  }
  return text + R"(.SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
the work failed
.TP
.B 2
the request was wrong; nothing was written
.TP
.B 130
interrupted; the state is saved, and the same command goes on
.SH ENVIRONMENT
.TP
.B THIMBLE_CACHE
directory for tokenized data; without: ~/.cache/thimble
.TP
.B OMP_WAIT_POLICY
PASSIVE unless it is set
)";
}

}  // namespace thimble::tools
