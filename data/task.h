// Tasks: where a task's files lie, how a row is read, how predictions are scored. One line a task in
// data/tasks.inc, one file a task (or family) in data/tasks. A user's own task is the message Custom.
#pragma once
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace thimble::proto {
class SpanReading;
class Task;
}  // namespace thimble::proto

namespace thimble::data {

// Where an answer stands in its passage.
struct Answer {
  std::string text;
  int start = 0;  // Unicode characters before it
};

struct Row {
  std::string first, second;  // second is empty for a single-sentence task; a question and its passage
  int label = -1;  // index into TaskEntry::labels; -1: unlabelled (test files); regression, spans: 0
  double score = std::numeric_limits<double>::quiet_NaN();  // regression
  std::vector<Answer> answers;                              // spans; none: the question has no answer
  std::string id;                                           // SQuAD's question id; else empty
};

enum class TaskKind {
  kClassification,  // a class of labels; head [labels]
  kRegression,      // a number; head [1], labels is one name for it
  kSpan             // a span of the second text; head [2] on every token: labels are start, end
};
enum class FileFormat { kTsv, kCsv, kJsonLines, kSquad, kAdvGlue };

// The settings of run_squad.py; the meaning is in proto/task.proto, message SpanReading.
struct SpanOptions {
  int document_stride = 128, max_query = 64, n_best = 20, max_answer = 30;
  bool operator==(const SpanOptions&) const = default;
};
SpanOptions SpanOptionsOf(const proto::SpanReading& reading);

struct TaskEntry {
  std::string name;       // "mrpc": the oneof case of proto/task.proto and the --task value
  std::string directory;  // "MRPC", below the data directory; empty: the files lie in it
  bool pair = false;
  std::vector<std::string> labels;  // as spelt in the files, by class index
  // Other names of each label that published models give it (data/label_order.h); empty: none.
  std::vector<std::vector<std::string>> spellings;
  std::vector<std::string> metrics;  // names known to data/metrics/metrics.h; the first one ranks
  int first_column = 0, second_column = -1, label_column = 0;           // label_column -1: the last
  int columns = 0;                                                      // of a labelled file
  std::string train = "train.tsv", dev = "dev.tsv", test = "test.tsv";  // empty: there is none

  TaskKind kind = TaskKind::kClassification;
  FileFormat format = FileFormat::kTsv;
  int dev_columns = 0;  // where the dev file has more than `columns`
  bool header = true;   // of labelled files; test files always have one
  int test_columns = 0, test_first_column = 1, test_second_column = 2;
  std::string first_name, second_name, label_name, start_name;  // columns by name instead (Custom)
  std::string part;                                             // kAdvGlue: which list of the file
  double lowest = 0, highest = 0;  // regression, when highest > lowest: predictions are clipped to it
  std::string submission;          // file name of the leaderboard; empty: there is none
  SpanOptions spans;
  bool spans_given = false;   // by the task's message, so that a model's own do not replace them
  bool unanswerable = false;  // SQuAD 2.0: some questions have no answer
  double null_threshold = 0;
};

const std::vector<TaskEntry>& Tasks();               // sorted by name
const TaskEntry& FindTask(const std::string& name);  // Error that lists the names
const TaskEntry& FindTask(const proto::Task& task);
proto::Task MakeTask(const std::string& name);  // the message with that case set
// The same with the data directory, which a Custom task needs whose labels are not listed: they are read from
// its training file. `name` may be the path of a text file with a message Task (or Custom). Entries live as
// long as the program.
const TaskEntry& FindTask(const std::string& name, const std::string& data_directory);
const TaskEntry& FindTask(const proto::Task& task, const std::string& data_directory);

// Rows of a labelled file. limit 0: all. Error "FILE:LINE: ..." on a wrong column count, an unknown label
// (lists the accepted ones), an answer outside its passage, invalid UTF-8, or a file without rows. A
// byte-order mark, CR and a missing last line end are accepted.
std::vector<Row> ReadRows(const TaskEntry& task, const std::string& path, int limit = 0);

struct ReadOptions {
  int limit = 0;
  bool labelled = true;  // false: a test file, label columns are absent or not looked at
  std::vector<std::string>* problems = nullptr;  // bad rows are described here and passed over
};
std::vector<Row> ReadRows(const TaskEntry& task, const std::string& path, const ReadOptions& options);

std::string SplitPath(const TaskEntry& task, const std::string& data_directory, const std::string& file);

}  // namespace thimble::data
