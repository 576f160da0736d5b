#include "data/task.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/spelling.h"
#include "data/label_spelling.h"
#include "data/readers/custom_task.h"
#include "data/readers/squad.h"
#include "data/readers/table.h"
#include "proto/task.pb.h"

namespace thimble::data {

#define TASK(name) TaskEntry name();
#include "data/tasks.inc"
#undef TASK

namespace {

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

// Sets the label or the score of `row`; what is wrong with `cell`, or nothing.
std::optional<Error> ReadLabel(const TaskEntry& task, const std::string& where, const std::string& column,
                               std::string_view cell, Row* row) {
  if (task.kind == TaskKind::kRegression) {
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), row->score);
    if (error == std::errc() && end == cell.data() + cell.size() && std::isfinite(row->score)) {
      row->label = 0;
      return {};
    }
    return BadRequest(where, "not a number in column " + column, Quoted(cell));
  }
  row->label = FindLabel(task.labels, cell);
  if (row->label < 0)
    return BadRequest(where, "unknown label in column " + column, Quoted(cell), Joined(task.labels));
  return {};
}

class TableRows {
 public:
  TableRows(const TaskEntry& task, const std::string& path, const ReadOptions& options)
      : task_(task), path_(path), options_(options) {}

  std::vector<Row> Read() {
    const bool named = !task_.first_name.empty();
    TableOptions table{.format = task_.format,
                       .header = named ? task_.header : task_.header || !options_.labelled};
    if (named) {
      table.columns = {task_.first_name, task_.label_name};
      if (task_.pair) table.columns.push_back(task_.second_name);
      if (!task_.start_name.empty()) table.columns.push_back(task_.start_name);
      if (!options_.labelled) table.optional = {task_.label_name, task_.start_name};
      // Of an unanswerable question nothing but the question and the passage need be there.
      if (task_.kind == TaskKind::kSpan) table.optional = {task_.label_name, task_.start_name};
    }
    const size_t most = options_.limit == 0 ? SIZE_MAX : static_cast<size_t>(options_.limit);
    ReadTable(
        path_, table,
        [&](const std::string& where, std::vector<std::string_view>& cells) {
          const auto problem = named ? ReadNamed(where, cells) : ReadNumbered(where, cells);
          if (problem) Report(*problem);
          return rows_.size() < most;
        },
        [&](const std::string& message) { Report(Error(message)); });
    return std::move(rows_);
  }

 private:
  void Report(const Error& problem) {
    if (options_.problems == nullptr) throw problem;
    options_.problems->push_back(problem.what());
  }

  std::optional<Error> ReadNamed(const std::string& where, const std::vector<std::string_view>& cells) {
    Row row{.first = std::string(cells[0]), .second = task_.pair ? std::string(cells[2]) : std::string()};
    if (options_.labelled) {
      if (task_.kind == TaskKind::kSpan) {
        row.label = 0;
        if (!cells[1].empty()) {
          const std::string_view start = cells[3];
          Answer answer{.text = std::string(cells[1])};
          const auto [end, error] = std::from_chars(start.data(), start.data() + start.size(), answer.start);
          if (error != std::errc() || end != start.data() + start.size())
            return BadRequest(where, "not a whole number in column " + task_.start_name, Quoted(start));
          if (auto problem = CheckAnswer(where, row.second, answer)) return problem;
          row.answers.push_back(std::move(answer));
        }
      } else if (auto problem = ReadLabel(task_, where, task_.label_name, cells[1], &row)) {
        return problem;
      }
    }
    rows_.push_back(std::move(row));
    return {};
  }

  std::optional<Error> ReadNumbered(const std::string& where, const std::vector<std::string_view>& cells) {
    // Train and dev files of one task may differ, but the rows of one file do not.
    const int got = static_cast<int>(cells.size());
    if (columns_ == 0) {
      columns_ = !options_.labelled                                  ? task_.test_columns
                 : task_.dev_columns > 0 && got == task_.dev_columns ? task_.dev_columns
                                                                     : task_.columns;
    }
    if (got != columns_) {
      return BadRequest(where, "wrong number of columns for task " + task_.name, std::to_string(got),
                        std::to_string(columns_) + ", separated by TAB");
    }
    const int first = options_.labelled ? task_.first_column : task_.test_first_column;
    const int second = options_.labelled ? task_.second_column : task_.test_second_column;
    Row row{.first = std::string(cells[first]),
            .second = task_.pair ? std::string(cells[second]) : std::string()};
    if (options_.labelled) {
      const int label = task_.label_column < 0 ? columns_ - 1 : task_.label_column;
      if (auto problem = ReadLabel(task_, where, std::to_string(label + 1), cells[label], &row))
        return problem;
    }
    rows_.push_back(std::move(row));
    return {};
  }

  const TaskEntry& task_;
  const std::string& path_;
  const ReadOptions& options_;
  std::vector<Row> rows_;
  int columns_ = 0;
};

}  // namespace

const std::vector<TaskEntry>& Tasks() {
  static const std::vector<TaskEntry> tasks = MakeTasks();
  return tasks;
}

const TaskEntry& FindTask(const std::string& name) { return FindTask(name, ""); }

const TaskEntry& FindTask(const std::string& name, const std::string& data_directory) {
  if (IsTaskFile(name)) return FindTask(ReadTaskFile(name), data_directory);
  std::vector<std::string> names;
  for (const auto& task : Tasks()) {
    if (task.name == name && name != "custom") return task;
    if (task.name != "custom") names.push_back(task.name);
  }
  throw BadRequest("task", "unknown name", Quoted(name),
                   Joined(names) + ", or a text file with a message Task" + DidYouMean(name, names));
}

const TaskEntry& FindTask(const proto::Task& task) { return FindTask(task, ""); }

const TaskEntry& FindTask(const proto::Task& task, const std::string& data_directory) {
  const auto* field = proto::Task::descriptor()->FindFieldByNumber(task.kind_case());
  const std::string name = field == nullptr ? std::string() : field->name();
  if (task.has_custom() || task.has_squad() || task.has_squad2()) {
    for (const auto& entry : Tasks()) {
      if (entry.name == name) return Configured(entry, task, data_directory);
    }
  }
  return FindTask(name);
}

proto::Task MakeTask(const std::string& name) {
  if (IsTaskFile(name)) return ReadTaskFile(name);
  const TaskEntry& entry = FindTask(name);
  proto::Task task;
  task.GetReflection()->MutableMessage(&task, proto::Task::descriptor()->FindFieldByName(entry.name));
  return task;
}

std::vector<Row> ReadRows(const TaskEntry& task, const std::string& path, int limit) {
  return ReadRows(task, path, ReadOptions{.limit = limit});
}

std::vector<Row> ReadRows(const TaskEntry& task, const std::string& path, const ReadOptions& options) {
  THIMBLE_CHECK(options.limit >= 0, std::to_string(options.limit));
  std::vector<Row> rows = IsTable(task.format)                  ? TableRows(task, path, options).Read()
                          : task.format == FileFormat::kAdvGlue ? ReadAdvGlue(task, path, options)
                                                                : ReadSquad(task, path, options);
  if (rows.empty() && options.problems == nullptr)
    throw BadRequest(path, "no rows", "", "a header line and at least one labelled row");
  return rows;
}

std::string SplitPath(const TaskEntry& task, const std::string& data_directory, const std::string& file) {
  return (std::filesystem::path(data_directory) / task.directory / file).string();
}

}  // namespace thimble::data
