#include "data/task.h"

#include <gmock/gmock.h>

#include "data/metrics.h"
#include "proto/task.pb.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Conformance: holds for every entry of data/tasks.inc.
TEST(TasksTest, EveryEntryIsWhole) {
  const auto* oneof = proto::Task::descriptor()->FindOneofByName("kind");
  EXPECT_EQ(Tasks().size(), static_cast<size_t>(oneof->field_count()));
  for (const auto& task : Tasks()) {
    SCOPED_TRACE(task.name);
    EXPECT_NE(proto::Task::descriptor()->FindFieldByName(task.name), nullptr);
    EXPECT_EQ(&FindTask(task.name), &task);
    EXPECT_EQ(&FindTask(MakeTask(task.name)), &task);
    EXPECT_FALSE(task.directory.empty());
    EXPECT_GE(task.labels.size(), 2u);
    ASSERT_FALSE(task.metrics.empty());
    for (const auto& metric : task.metrics) EXPECT_NO_THROW(CheckMetric("", metric, MetricKind::kClasses));
    std::vector<int> columns = {task.first_column, task.label_column};
    if (task.pair) columns.push_back(task.second_column);
    for (size_t i = 0; i < columns.size(); ++i) {
      EXPECT_GE(columns[i], 0);
      EXPECT_LT(columns[i], task.columns);
      for (size_t j = 0; j < i; ++j) EXPECT_NE(columns[i], columns[j]);
    }
  }
}

// A row written for the entry comes back; the header is skipped whatever it says.
TEST(TasksTest, EveryEntryReadsItsRows) {
  const Scratch scratch;
  for (const auto& task : Tasks()) {
    SCOPED_TRACE(task.name);
    std::string text = "\xef\xbb\xbfheader\n";
    for (const auto& label : task.labels) {
      std::vector<std::string> cells(task.columns, "-");
      cells[task.first_column] = "one \"quoted";
      if (task.pair) cells[task.second_column] = "two";
      cells[task.label_column] = label;
      for (int i = 0; i < task.columns; ++i) text += (i == 0 ? "" : "\t") + cells[i];
      text += "\r\n";
    }
    const auto rows = ReadRows(task, scratch.Write("rows.tsv", text));
    ASSERT_EQ(rows.size(), task.labels.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].first, "one \"quoted");
      EXPECT_EQ(rows[i].second, task.pair ? "two" : "");
      EXPECT_EQ(rows[i].label, static_cast<int>(i));
    }
  }
}

TEST(TasksTest, AreSortedByName) {
  std::vector<std::string> names;
  for (const auto& task : Tasks()) names.push_back(task.name);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST(TasksTest, UnknownNameListsTheKnown) {
  EXPECT_EQ(ErrorOf([] { FindTask("mrcp"); }),
            "task: unknown name; got \"mrcp\"; accepted: mrpc, rte, sample, sst2");
}

TEST(TasksTest, LabelsOfRteKeepTheirOrder) {
  EXPECT_THAT(FindTask("rte").labels, ElementsAre("entailment", "not_entailment"));
}

TEST(ReadRowsTest, LimitStopsBeforeALaterMistake) {
  const Scratch scratch;
  const std::string path = scratch.Write("train.tsv", "sentence\tlabel\ngood \t1\nbad \t0\nbroken");
  EXPECT_EQ(ReadRows(FindTask("sst2"), path, 2).size(), 2u);
  EXPECT_EQ(ReadRows(FindTask("sst2"), path, 1)[0].first, "good ");
  EXPECT_EQ(ErrorOf([&] { ReadRows(FindTask("sst2"), path, 3); }),
            path + ":4: wrong number of columns for task sst2; got 1; accepted: 2, separated by TAB");
}

TEST(ReadRowsTest, WrongFilesAreRefused) {
  const Scratch scratch;
  auto refusal = [&](std::string_view bytes) {
    const std::string path = scratch.Write("dev.tsv", bytes);
    const std::string message = ErrorOf([&] { ReadRows(FindTask("rte"), path); });
    EXPECT_EQ(message.rfind(path, 0), 0u);
    return message.substr(path.size());
  };
  const std::string head = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n";
  EXPECT_EQ(refusal(head + "1\ta\tb\n"),
            ":3: wrong number of columns for task rte; got 3; accepted: 4, separated by TAB");
  EXPECT_EQ(refusal(head + "1\ta\tb\tentailment\tc\n"),
            ":3: wrong number of columns for task rte; got 5; accepted: 4, separated by TAB");
  EXPECT_EQ(refusal(head + "1\ta\tb\tentails\n"),
            ":3: unknown label in column 4; got \"entails\"; accepted: entailment, not_entailment");
  EXPECT_EQ(refusal(head + "1\ta\xc3(\tb\tentailment\n"), ":3: invalid UTF-8");
  EXPECT_EQ(refusal(head + "\n"),
            ":3: wrong number of columns for task rte; got 1; accepted: 4, separated by TAB");
  EXPECT_THAT(refusal("index\tsentence1\tsentence2\tlabel\n"), HasSubstr(": no rows"));
  EXPECT_THAT(refusal(""), HasSubstr(": no rows"));
  EXPECT_THAT(ErrorOf([&] { ReadRows(FindTask("rte"), scratch.path() + "/absent.tsv"); }),
              HasSubstr("absent.tsv"));
}

// The counts are those of the published files.
struct Published {
  std::string task, file;
  size_t rows, of_class_1;
};

TEST(ReadRowsTest, PublishedFiles) {
  const std::string data = THIMBLE_SOURCE_DIR "/../shared/data/glue";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no GLUE data at " << data;
  for (const auto& [name, file, count, of_class_1] :
       std::vector<Published>{{"mrpc", "train.tsv", 3668, 2474},
                              {"mrpc", "dev.tsv", 408, 279},
                              {"rte", "train.tsv", 2490, 1241},
                              {"rte", "dev.tsv", 277, 131},
                              {"sst2", "train.tsv", 67349, 37569},
                              {"sst2", "dev.tsv", 872, 444}}) {
    const TaskEntry& task = FindTask(name);
    const auto rows = ReadRows(task, SplitPath(task, data, file));
    EXPECT_EQ(rows.size(), count) << name << " " << file;
    EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.label == 1; }),
              of_class_1);
    for (const auto& row : rows) EXPECT_EQ(row.second.empty(), !task.pair);
  }
}

}  // namespace
}  // namespace thimble::data
