// The commands that make and use a study, for people to copy.
#include <algorithm>
#include <cctype>

#include "tools/report/document.h"
#include "tools/report/verdict.h"
#include "tools/study/choice.h"

namespace thimble::tools {

std::string ShellWord(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("-_./:=,+@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

nlohmann::ordered_json Commands(const DocumentInput& input) {
  auto list = nlohmann::ordered_json::array();
  const auto& study = input.file.study;
  std::string overrides;
  for (const auto& each : input.set) overrides += " --set " + ShellWord(each);
  const std::string where = ShellWord(input.where);
  const auto add = [&](const std::string& what, const std::string& command) {
    list.push_back({{"what", what}, {"command", command}});
  };
  add("runs the search, or goes on with it", "thimble search " + where + overrides);
  add("shows it, and draws it anew", "thimble show " + where + overrides);
  std::vector<std::string> students;
  for (const auto& group : search::ByTarget(input.results)) {
    if (FoundIn(group).trial == nullptr) continue;
    const std::string& target = group[0].target;
    const std::string of = target.empty() ? "" : " --target " + ShellWord(target),
                      student = target.empty() ? "student" : "student-" + target;
    students.push_back(ShellWord(student));
    add("distils the best student" + (target.empty() ? "" : " of " + target) + " and writes it",
        "thimble export " + where + of + " --out " + students.back() + overrides);
    if (UniformControl(group) == nullptr) continue;
    students.push_back(ShellWord(student + "-uniform"));
    add("the uniform student, to compare with",
        "thimble export " + where + of + " --uniform --out " + students.back() + overrides);
  }
  if (students.empty() || study.data().task().kind_case() == proto::Task::KIND_NOT_SET) return list;
  const auto& task = study.data().task();
  const auto* kind =
      task.GetReflection()->GetOneofFieldDescriptor(task, proto::Task::descriptor()->oneof_decl(0));
  if (task.GetReflection()->GetMessage(task, kind).ByteSizeLong() > 0)
    return list;  // described by its fields: no word names it
  std::string models = ShellWord(study.teacher().model());
  for (const auto& student : students) models += " " + student;
  add("scores them on the whole development set", "thimble evaluate " + models + " --task " + kind->name() +
                                                      " --data " + ShellWord(study.data().directory()) +
                                                      " --latency");
  return list;
}

}  // namespace thimble::tools
