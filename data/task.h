// Tasks: where a task's files lie, how a row is read, how predictions are scored. One file a task in
// data/tasks, one line in data/tasks.inc.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace thimble::proto {
class Task;
}

namespace thimble::data {

struct Row {
  std::string first, second;  // second is empty for a single-sentence task
  int label = -1;             // index into TaskEntry::labels; -1: unlabelled (test files)
};

struct TaskEntry {
  std::string name;       // "mrpc": the oneof case of proto/task.proto and the --task value
  std::string directory;  // "MRPC", below the data directory
  bool pair = false;
  std::vector<std::string> labels;   // as spelt in the files, by class index
  std::vector<std::string> metrics;  // names known to data/metrics.h; the first one ranks
  int first_column = 0, second_column = -1, label_column = 0;
  int columns = 0;  // of a labelled file
  std::string train = "train.tsv", dev = "dev.tsv";
};

const std::vector<TaskEntry>& Tasks();               // sorted by name
const TaskEntry& FindTask(const std::string& name);  // Error that lists the names
const TaskEntry& FindTask(const proto::Task& task);
proto::Task MakeTask(const std::string& name);  // the message with that case set

// Rows of a labelled GLUE file: UTF-8, TAB-separated, no quoting, header line skipped, byte-order mark and CR
// accepted. limit 0: all. Error "FILE:LINE: ..." on a wrong column count, an unknown label (lists the
// accepted ones), invalid UTF-8, or a file without rows.
std::vector<Row> ReadRows(const TaskEntry& task, const std::string& path, int limit = 0);
std::string SplitPath(const TaskEntry& task, const std::string& data_directory, const std::string& file);

}  // namespace thimble::data
