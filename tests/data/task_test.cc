#include "data/task.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <map>

#include "data/metrics/metrics.h"
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
    if (task.name == "custom") continue;  // filled by its message
    EXPECT_EQ(&FindTask(task.name), &task);
    EXPECT_EQ(FindTask(MakeTask(task.name)).name, task.name);
    EXPECT_FALSE(task.directory.empty());
    EXPECT_EQ(task.labels.size() == 1, task.kind == TaskKind::kRegression);
    ASSERT_FALSE(task.metrics.empty());
    EXPECT_FALSE(task.dev.empty() && task.test.empty());
    const auto kind = task.kind == TaskKind::kSpan         ? MetricKind::kSpans
                      : task.kind == TaskKind::kRegression ? MetricKind::kNumbers
                                                           : MetricKind::kClasses;
    for (const auto& metric : task.metrics) EXPECT_NO_THROW(CheckMetric("", metric, kind));
    if (task.format != FileFormat::kTsv) continue;
    for (const int width : {task.columns, task.dev_columns > 0 ? task.dev_columns : task.columns}) {
      std::vector<int> columns = {task.first_column, task.label_column < 0 ? width - 1 : task.label_column};
      if (task.pair) columns.push_back(task.second_column);
      for (size_t i = 0; i < columns.size(); ++i) {
        EXPECT_GE(columns[i], 0);
        EXPECT_LT(columns[i], width);
        for (size_t j = 0; j < i; ++j) EXPECT_NE(columns[i], columns[j]);
      }
    }
    if (!task.test.empty()) {
      EXPECT_LT(task.test_first_column, task.test_columns);
      if (task.pair) {
        EXPECT_LT(task.test_second_column, task.test_columns);
      }
      EXPECT_FALSE(task.submission.empty());
    }
  }
}

// A row written for the entry comes back; the header is skipped whatever it says.
TEST(TasksTest, EveryEntryReadsItsRows) {
  const Scratch scratch;
  for (const auto& task : Tasks()) {
    if (task.format != FileFormat::kTsv || task.columns == 0) continue;
    SCOPED_TRACE(task.name);
    const auto labels =
        task.kind == TaskKind::kRegression ? std::vector<std::string>{"0.000", "2.5"} : task.labels;
    for (const int width : {task.columns, task.dev_columns > 0 ? task.dev_columns : task.columns}) {
      std::string text = "\xef\xbb\xbf";
      if (task.header) text += "header\n";
      for (const auto& label : labels) {
        std::vector<std::string> cells(width, "-");
        cells[task.first_column] = "one \"quoted";
        if (task.pair) cells[task.second_column] = "two";
        cells[task.label_column < 0 ? width - 1 : task.label_column] = label;
        for (int i = 0; i < width; ++i) text += (i == 0 ? "" : "\t") + cells[i];
        text += "\r\n";
      }
      const auto rows = ReadRows(task, scratch.Write("rows.tsv", text));
      ASSERT_EQ(rows.size(), labels.size());
      for (size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(rows[i].first, "one \"quoted");
        EXPECT_EQ(rows[i].second, task.pair ? "two" : "");
        EXPECT_EQ(rows[i].label, task.kind == TaskKind::kRegression ? 0 : static_cast<int>(i));
        if (task.kind == TaskKind::kRegression) {
          EXPECT_EQ(rows[i].score, 2.5 * static_cast<double>(i));
        }
      }
    }
  }
}

TEST(TasksTest, AreSortedByName) {
  std::vector<std::string> names;
  for (const auto& task : Tasks()) names.push_back(task.name);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST(TasksTest, UnknownNameListsTheKnown) {
  const std::string message = ErrorOf([] { FindTask("mrcp"); });
  EXPECT_THAT(message, HasSubstr("task: unknown name; got \"mrcp\"; accepted: adv_mnli, "));
  EXPECT_THAT(message, HasSubstr("mrpc, qnli, "));
  EXPECT_THAT(message, HasSubstr("; did you mean mrpc?"));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("custom")));
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
  EXPECT_EQ(refusal(head + "\n\nword\n"),  // blank lines count, but hold no row
            ":5: wrong number of columns for task rte; got 1; accepted: 4, separated by TAB");
  EXPECT_THAT(refusal("index\tsentence1\tsentence2\tlabel\n"), HasSubstr(": no rows"));
  EXPECT_THAT(refusal(""), HasSubstr(": no rows"));
  EXPECT_THAT(ErrorOf([&] { ReadRows(FindTask("rte"), scratch.path() + "/absent.tsv"); }),
              HasSubstr("absent.tsv"));
}

// The counts are those of the published files.
struct Published {
  std::string task, file;
  size_t rows;
  std::vector<size_t> counts;  // by class
};

TEST(ReadRowsTest, PublishedFiles) {
  const std::string data = THIMBLE_SOURCE_DIR "/../shared/data";
  if (!std::filesystem::exists(data + "/glue")) GTEST_SKIP() << "no GLUE data at " << data;
  for (const auto& [name, file, count, counts] :
       std::vector<Published>{{"mrpc", "train.tsv", 3668, {1194, 2474}},
                              {"mrpc", "dev.tsv", 408, {129, 279}},
                              {"rte", "train.tsv", 2490, {1249, 1241}},
                              {"rte", "dev.tsv", 277, {146, 131}},
                              {"sst2", "train.tsv", 67349, {29780, 37569}},
                              {"sst2", "dev.tsv", 872, {428, 444}},
                              {"cola", "train.tsv", 8551, {2528, 6023}},
                              {"cola", "dev.tsv", 1043, {322, 721}},
                              {"stsb", "train.tsv", 5749, {5749}},
                              {"stsb", "dev.tsv", 1500, {1500}},
                              {"wnli", "train.tsv", 635, {323, 312}},
                              {"wnli", "dev.tsv", 71, {40, 31}},
                              {"qnli", "train.tsv", 19741, {9895, 9846}},
                              {"qnli", "dev.tsv", 5463, {2702, 2761}},
                              {"qqp", "train.tsv", 20000, {12577, 7423}},
                              {"qqp", "dev.tsv", 3497, {2173, 1324}},
                              {"mnli", "train.tsv", 10471, {3565, 3470, 3436}},
                              {"mnli", "dev_matched.tsv", 9815, {3479, 3123, 3213}},
                              {"mnli_mismatched", "dev_mismatched.tsv", 1000, {346, 319, 335}},
                              {"adv_sst2", "dev.json", 148, {}},
                              {"adv_qqp", "dev.json", 78, {}},
                              {"adv_mnli", "dev.json", 121, {}},
                              {"adv_mnli_mismatched", "dev.json", 162, {}},
                              {"adv_qnli", "dev.json", 148, {}},
                              {"adv_rte", "dev.json", 81, {}},
                              {"squad", "dev-v1.1.json", 10570, {10570}},
                              {"squad", "train-v1.1.json", 11877, {11877}},
                              {"squad2", "dev-v2.0.json", 7357, {7357}},
                              {"squad2", "train-v2.0.json", 4719, {4719}}}) {
    SCOPED_TRACE(name + " " + file);
    const TaskEntry& task = FindTask(name);
    const bool glue = task.format == FileFormat::kTsv;
    const auto rows = ReadRows(task, SplitPath(task, data + (glue ? "/glue" : ""), file));
    EXPECT_EQ(rows.size(), count);
    std::vector<size_t> found(counts.size());
    for (const auto& row : rows) {
      EXPECT_EQ(row.second.empty(), !task.pair);
      if (!counts.empty()) ++found[row.label];
    }
    EXPECT_EQ(found, counts);
    if (name == "squad2" && file == "dev-v2.0.json") {
      EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.answers.empty(); }),
                3745);
    }
    if (name == "stsb") {
      for (const auto& row : rows) EXPECT_TRUE(row.score >= 0 && row.score <= 5);
    }
  }
  for (const auto& [name, count] : std::map<std::string, size_t>{{"cola", 1063},
                                                                 {"sst2", 1821},
                                                                 {"mrpc", 1725},
                                                                 {"stsb", 1379},
                                                                 {"rte", 3000},
                                                                 {"wnli", 146},
                                                                 {"qnli", 5463},
                                                                 {"ax", 1104}}) {
    const TaskEntry& task = FindTask(name);
    const auto rows =
        ReadRows(task, SplitPath(task, data + "/glue", task.test), ReadOptions{.labelled = false});
    EXPECT_EQ(rows.size(), count) << name;
    EXPECT_EQ(rows[0].label, -1);
  }
}

class CustomTest : public ::testing::Test {
 protected:
  const TaskEntry& Make(const std::string& text) {
    return FindTask(scratch_.Write("task" + std::to_string(++made_) + ".textproto", "custom {" + text + "}"),
                    scratch_.path());
  }
  std::string Refusal(const std::string& text) {
    return ErrorOf([&] { Make(text); });
  }
  const Scratch scratch_;
  int made_ = 0;
};

TEST_F(CustomTest, CsvWithLabelsOfTheTrainingFile) {
  scratch_.Write(
      "train.csv",
      "\xef\xbb\xbftext,id,stars\r\n\"good, \"\"very\"\"\nso\",1,10\r\nbad,2,2\nplain \"x\",3,neutral");
  scratch_.Write("dev.csv", "stars,text\n2,fine\n");
  const TaskEntry& task =
      Make("train: 'train.csv' dev: 'dev.csv' first: 'text' label: 'stars' metrics: ['macro_f1', 'kappa']");
  EXPECT_THAT(task.labels, ElementsAre("2", "10", "neutral"));
  EXPECT_THAT(task.metrics, ElementsAre("macro_f1", "kappa"));
  const auto rows = ReadRows(task, scratch_.path() + "/train.csv");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].first, "good, \"very\"\nso");
  EXPECT_EQ(rows[2].first, "plain \"x\"");
  EXPECT_THAT((std::vector<int>{rows[0].label, rows[1].label, rows[2].label}), ElementsAre(1, 0, 2));
  EXPECT_EQ(ReadRows(task, scratch_.path() + "/dev.csv")[0].first, "fine");  // columns in another order
  scratch_.Write("bad.csv", "stars,text\n2,fine\n7,c\n\n2,\"d\"e\n2\n2,\"open\n2,b\n");
  std::vector<std::string> problems;
  EXPECT_EQ(ReadRows(task, scratch_.path() + "/bad.csv", {.problems = &problems}).size(), 2u);
  EXPECT_THAT(
      problems,
      ElementsAre(HasSubstr("bad.csv:3: unknown label in column stars; got \"7\"; accepted: 2, 10, neutral"),
                  HasSubstr("bad.csv:5: text after the closing quote"),
                  HasSubstr("bad.csv:6: wrong number of columns; got 1; accepted: 2"),
                  HasSubstr("bad.csv:7: a quoted cell is not closed")));
}

TEST_F(CustomTest, JsonLinesAndRegression) {
  scratch_.Write("dev.jsonl",
                 "{\"a\": \"x\", \"b\": \"y\", \"n\": -1.5}\n\n{\"a\": \"z\", \"b\": \"\", \"n\": \"2e1\", "
                 "\"more\": []}");
  const TaskEntry& task = Make("dev: 'dev.jsonl' kind: REGRESSION first: 'a' second: 'b' label: 'n'");
  EXPECT_EQ(task.kind, TaskKind::kRegression);
  EXPECT_THAT(task.metrics, ElementsAre("pearson"));
  const auto rows = ReadRows(task, scratch_.path() + "/dev.jsonl");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].score, -1.5);
  EXPECT_EQ(rows[1].score, 20);
  scratch_.Write("bad.jsonl",
                 "{\"a\": \"x\"\n[1]\n{\"a\": 1, \"b\": 2}\n{\"a\": [], \"b\": 2, \"n\": 1}\n{\"a\": 1, "
                 "\"b\": 2, \"n\": \"nan\"}\n" +
                     std::string(100000, '[') + "\n");
  std::vector<std::string> problems;
  EXPECT_TRUE(ReadRows(task, scratch_.path() + "/bad.jsonl", {.problems = &problems}).empty());
  EXPECT_THAT(problems, ElementsAre(HasSubstr("bad.jsonl:1: not a JSON object"),
                                    HasSubstr("bad.jsonl:2: not a JSON object"),
                                    HasSubstr("bad.jsonl:3: no member \"n\"; accepted: a, b"),
                                    HasSubstr("bad.jsonl:4: member \"a\" is not a string or number"),
                                    HasSubstr("bad.jsonl:5: not a number in column n; got \"nan\""),
                                    HasSubstr("bad.jsonl:6: not a JSON object")));
}

TEST_F(CustomTest, SpansInATable) {
  scratch_.Write("dev.tsv",
                 "q\tp\ta\ts\nwho?\tthé cat sat\tcat\t4\nwhy?\tthe cat\t\t\nwhat?\tthe "
                 "cat\tdog\t4\nwhat?\tthe cat\tcat\t40\nwhat?\tthe cat\tcat\tx\n");
  const TaskEntry& task =
      Make("dev: 'dev.tsv' kind: SPAN first: 'q' second: 'p' label: 'a' answer_start: 's'");
  std::vector<std::string> problems;
  const auto rows = ReadRows(task, scratch_.path() + "/dev.tsv", {.problems = &problems});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].answers[0].start, 4);
  EXPECT_TRUE(rows[1].answers.empty());
  EXPECT_THAT(
      problems,
      ElementsAre(
          HasSubstr("dev.tsv:4: the passage has another text there; got \"dog\" at 4; accepted: \"cat\""),
          HasSubstr("dev.tsv:5: the answer lies outside its passage"),
          HasSubstr("dev.tsv:6: not a whole number in column s")));
}

TEST_F(CustomTest, WithoutHeader) {
  scratch_.Write("dev.tsv", "yes\thello\nno\tbye");
  const TaskEntry& task = Make("dev: 'dev.tsv' header: false first: '2' label: '1' labels: ['no', 'yes']");
  const auto rows = ReadRows(task, scratch_.path() + "/dev.tsv");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].first, "hello");
  EXPECT_EQ(rows[0].label, 1);
}

TEST_F(CustomTest, WrongDescriptionsAreRefused) {
  scratch_.Write("dev.csv", "text,y\na,1\nb,2\n");
  EXPECT_THAT(Refusal("dev: 'dev.csv' first: 'text' label: 'y'"),
              HasSubstr("custom.labels: are to be listed"));
  EXPECT_THAT(Refusal("train: 'dev.csv' dev: 'dev.csv' first: 'text' label: 'z'"),
              HasSubstr("no column \"z\"; accepted: text, y"));
  EXPECT_THAT(Refusal("dev: 'dev.xls' first: 'text' label: 'y' labels: ['1', '2']"),
              HasSubstr("cannot be told from the file name"));
  EXPECT_THAT(Refusal("dev: 'dev.csv' first: 'text' label: 'y' labels: ['1', '2'] metrics: 'pearson'"),
              HasSubstr("custom.metrics: unknown name; got \"pearson\"; accepted: accuracy, f1"));
  EXPECT_THAT(Refusal("dev: 'dev.csv' first: 'text' label: 'y' labels: ['1', '1']"),
              HasSubstr("listed twice"));
  EXPECT_THAT(Refusal("dev: 'dev.csv' kind: SPAN first: 'text' label: 'y'"),
              HasSubstr("kind SPAN needs second"));
  EXPECT_THAT(Refusal("dev: 'dev.csv' first: 'text'"), HasSubstr("label"));
  EXPECT_THAT(Refusal("dev: 'dev.csv' frist: 'text' label: 'y'"), HasSubstr("frist"));
}

TEST(SquadTest, WrongDocumentsAreRefused) {
  const Scratch scratch;
  auto refusal = [&](const std::string& task, const std::string& text) {
    const std::string path = scratch.Write("dev.json", text);
    const std::string message = ErrorOf([&] { ReadRows(FindTask(task), path); });
    EXPECT_EQ(message.rfind(path, 0), 0u) << message;
    return message.substr(path.size());
  };
  auto question = [](const std::string& answers) {
    return "{\"data\": [{\"paragraphs\": [{\"context\": \"the cat\", \"qas\": [{\"id\": \"7\", \"question\": "
           "\"who?\"" +
           answers + "}]}]}]}";
  };
  EXPECT_THAT(refusal("squad", "{\n\"data\": [\n}"), HasSubstr(":3: not JSON"));
  EXPECT_THAT(refusal("squad", ""), HasSubstr(":1: not JSON"));
  EXPECT_THAT(refusal("squad", std::string(100000, '[')), HasSubstr("JSON"));
  EXPECT_THAT(refusal("squad", "{}"), HasSubstr("no member \"data\""));
  EXPECT_THAT(refusal("squad", "{\"data\": 3}"), HasSubstr("data: not a list"));
  EXPECT_THAT(refusal("squad", "{\"data\": []}"), HasSubstr("no rows"));
  EXPECT_THAT(refusal("squad", question("")),
              HasSubstr(".data[0].paragraphs[0].qas[0]: no member \"answers\""));
  EXPECT_THAT(refusal("squad", question(", \"answers\": []")), HasSubstr("no answer"));
  EXPECT_THAT(refusal("squad", question(", \"answers\": [{\"text\": \"cat\", \"answer_start\": 5}]")),
              HasSubstr("answers[0]: the answer lies outside its passage; got \"cat\" at 5"));
  EXPECT_THAT(refusal("squad", question(", \"answers\": [{\"text\": \"cat\", \"answer_start\": 3}]")),
              HasSubstr("the passage has another text there"));
  EXPECT_THAT(refusal("squad", question(", \"answers\": [{\"text\": \"cat\", \"answer_start\": -1}]")),
              HasSubstr("not a whole number"));
  EXPECT_THAT(refusal("squad2", question(", \"is_impossible\": 1, \"answers\": []")),
              HasSubstr("not true or false"));
  EXPECT_THAT(refusal("adv_sst2", "{\"sst2\": [{\"sentence\": \"x\", \"label\": 2}]}"),
              HasSubstr("unknown label; got 2; accepted: 0 to 1"));
  const std::string good = scratch.Write("dev.json", question(", \"is_impossible\": true, \"answers\": []"));
  EXPECT_EQ(ReadRows(FindTask("squad2"), good)[0].id, "7");
}

TEST(TasksTest, ReadingOptionsOfAMessage) {
  proto::Task task;
  task.mutable_squad2()->mutable_reading()->set_document_stride(32);
  task.mutable_squad2()->set_null_threshold(-1.5);
  const TaskEntry& entry = FindTask(task);
  EXPECT_EQ(entry.name, "squad2");
  EXPECT_EQ(entry.spans.document_stride, 32);
  EXPECT_EQ(entry.spans.max_query, 64);
  EXPECT_EQ(entry.null_threshold, -1.5);
  EXPECT_EQ(&FindTask(task), &entry);
  EXPECT_EQ(FindTask("squad2").spans.document_stride, 128);
}

}  // namespace
}  // namespace thimble::data
