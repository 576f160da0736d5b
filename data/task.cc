#include "data/task.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "data/basic_tokenizer.h"
#include "proto/task.pb.h"

namespace thimble::data {

#define TASK(name) TaskEntry name();
#include "data/tasks.inc"
#undef TASK

namespace {

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 60;  // a whole row in an error message would hide the message
  const bool cut = text.size() > kShown;
  return "\"" + std::string(text.substr(0, kShown)) + (cut ? "...\"" : "\"");
}

std::string List(const std::vector<std::string>& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

// Takes the first line off `text`, without its end.
std::string_view NextLine(std::string_view* text) {
  const size_t end = std::min(text->find('\n'), text->size());
  std::string_view line = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<std::string_view> Cells(std::string_view line) {
  std::vector<std::string_view> cells;
  for (size_t tab; (tab = line.find('\t')) != std::string_view::npos; line.remove_prefix(tab + 1)) {
    cells.push_back(line.substr(0, tab));
  }
  cells.push_back(line);
  return cells;
}

Row ReadRow(const TaskEntry& task, const std::string& where, std::string_view line) {
  if (!IsUtf8(line)) throw BadRequest(where, "invalid UTF-8");
  const auto cells = Cells(line);
  if (cells.size() != static_cast<size_t>(task.columns)) {
    throw BadRequest(where, "wrong number of columns for task " + task.name, std::to_string(cells.size()),
                     std::to_string(task.columns) + ", separated by TAB");
  }
  const auto label = std::find(task.labels.begin(), task.labels.end(), cells[task.label_column]);
  if (label == task.labels.end()) {
    throw BadRequest(where, "unknown label in column " + std::to_string(task.label_column + 1),
                     Quoted(cells[task.label_column]), List(task.labels));
  }
  return {.first = std::string(cells[task.first_column]),
          .second = task.pair ? std::string(cells[task.second_column]) : std::string(),
          .label = static_cast<int>(label - task.labels.begin())};
}

std::vector<TaskEntry> MakeTasks() {
  std::vector<TaskEntry> tasks;
  // Name, --task value and oneof case are the same word, written once in the list.
#define TASK(id)         \
  tasks.push_back(id()); \
  tasks.back().name = #id;
#include "data/tasks.inc"
#undef TASK
  std::sort(tasks.begin(), tasks.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const auto& task : tasks) {
    THIMBLE_CHECK(proto::Task::descriptor()->FindFieldByName(task.name) != nullptr, task.name);
  }
  return tasks;
}

}  // namespace

const std::vector<TaskEntry>& Tasks() {
  static const std::vector<TaskEntry> tasks = MakeTasks();
  return tasks;
}

const TaskEntry& FindTask(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& task : Tasks()) {
    if (task.name == name) return task;
    names.push_back(task.name);
  }
  throw BadRequest("task", "unknown name", Quoted(name), List(names));
}

const TaskEntry& FindTask(const proto::Task& task) {
  const auto* field = proto::Task::descriptor()->FindFieldByNumber(task.kind_case());
  return FindTask(field == nullptr ? std::string() : field->name());
}

proto::Task MakeTask(const std::string& name) {
  const TaskEntry& entry = FindTask(name);
  proto::Task task;
  task.GetReflection()->MutableMessage(&task, proto::Task::descriptor()->FindFieldByName(entry.name));
  return task;
}

std::vector<Row> ReadRows(const TaskEntry& task, const std::string& path, int limit) {
  THIMBLE_CHECK(limit >= 0, std::to_string(limit));
  const MappedFile file(path);
  std::string_view rest = file.bytes();
  NextLine(&rest);  // the header, and before it perhaps a byte-order mark
  std::vector<Row> rows;
  const size_t most = limit == 0 ? SIZE_MAX : static_cast<size_t>(limit);
  while (!rest.empty() && rows.size() < most) {
    const std::string_view line = NextLine(&rest);
    rows.push_back(ReadRow(task, path + ":" + std::to_string(rows.size() + 2), line));
  }
  if (rows.empty()) throw BadRequest(path, "no rows", "", "a header line and at least one labelled row");
  return rows;
}

std::string SplitPath(const TaskEntry& task, const std::string& data_directory, const std::string& file) {
  return (std::filesystem::path(data_directory) / task.directory / file).string();
}

}  // namespace thimble::data
