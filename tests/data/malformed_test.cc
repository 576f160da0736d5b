// What the loaders make of files that are not quite right: accepted as the official loaders do (GLUE's
// scripts split at TAB and give quotes no meaning; SQuAD's read one JSON document), or refused with file and
// line.
#include <gmock/gmock.h>

#include <algorithm>

#include "base/error.h"
#include "data/task.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kBom[] = "\xef\xbb\xbf";

class MalformedTest : public ::testing::Test {
 protected:
  std::vector<Row> Read(const TaskEntry& task, const std::string& name, const std::string& bytes) {
    return ReadRows(task, scratch_.Write(name, bytes));
  }
  std::string Refusal(const TaskEntry& task, const std::string& name, const std::string& bytes) {
    return ErrorOf([&] { Read(task, name, bytes); });
  }
  const TaskEntry& Custom(const std::string& text) {
    return FindTask(scratch_.Write("task.textproto", "custom {" + text + "}"), scratch_.path());
  }
  const Scratch scratch_;
};

TEST_F(MalformedTest, GlueFilesWithByteOrderMarkCrLfQuotesAndNoLastLineEnd) {
  const std::string head = "index\tsentence1\tsentence2\tlabel", one = "0\ta \"b\tc\"\tentailment",
                    two = "1\t\"d\"\t'e\tnot_entailment";
  for (const std::string bom : {"", kBom})
    for (const std::string end : {"\n", "\r\n"})
      for (const std::string& last : {std::string(), end}) {
        const auto rows = Read(FindTask("rte"), "dev.tsv", bom + head + end + one + end + two + last);
        ASSERT_EQ(rows.size(), 2u);
        EXPECT_EQ(rows[0].first, "a \"b");  // a quote is a letter like any other
        EXPECT_EQ(rows[0].second, "c\"");
        EXPECT_EQ(rows[1].second, "'e");
        EXPECT_THAT((std::vector<int>{rows[0].label, rows[1].label}), ElementsAre(0, 1));
      }
  // Without a header line the first row is data: a mark before it is none of its text.
  EXPECT_EQ(Read(FindTask("cola"), "dev.tsv", std::string(kBom) + "s\t1\t\ta b")[0].first, "a b");
}

TEST_F(MalformedTest, EmptyTables) {
  const TaskEntry& csv = Custom("dev: 'd.csv' first: 'a' label: 'b' labels: ['0', '1']");
  const TaskEntry& lines = Custom("dev: 'd.jsonl' first: 'a' label: 'b' labels: ['0', '1']");
  for (const std::string text : {"", kBom, "\n", "\r\n\r\n"}) {
    EXPECT_THAT(Refusal(csv, "d.csv", text), HasSubstr("d.csv")) << text.size();
    EXPECT_THAT(Refusal(lines, "d.jsonl", text), HasSubstr("d.jsonl: no rows")) << text.size();
    EXPECT_THAT(Refusal(FindTask("sst2"), "d.tsv", text), HasSubstr("d.tsv")) << text.size();
  }
  EXPECT_THAT(Refusal(csv, "d.csv", "a,b\n"), HasSubstr("d.csv: no rows"));
}

TEST_F(MalformedTest, JsonLines) {
  const TaskEntry& task = Custom("dev: 'd.jsonl' first: 'a' label: 'b' labels: ['0', '1']");
  const auto rows = Read(
      task, "d.jsonl",
      std::string(kBom) + "{\"a\": \"x\\u00e9\\ud83d\\ude00\", \"b\": 1}\r\n\r\n{\"b\": \"0\", \"a\": 2}");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].first, "x\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(rows[1].first, "2");
  const std::string good = "{\"a\": \"x\", \"b\": 1}\n";
  for (const std::string bad :
       {"{\"a\": \"x\", \"b\": 1", "\"a\": \"x\", \"b\": 1}", "{\"a\": \"x\", \"b\": 1}}",
        "{\"a\": \"x\" \"b\": 1}", "{\"a\": \"x\", \"b\": 1} {\"a\": \"x\", \"b\": 1}",
        "{\"a\": \"\\ud800\", \"b\": 1}", "{\"a\": \"x\xff\", \"b\": 1}", "{'a': 'x', 'b': 1}"}) {
    EXPECT_THAT(Refusal(task, "d.jsonl", good + bad + "\n"), HasSubstr("d.jsonl:2: ")) << bad;
  }
}

std::string Squad(const std::string& passage, const std::string& text, const std::string& start) {
  return "{\"version\": \"1.1\",\n\"data\": [{\"title\": \"t\", \"paragraphs\": [{\"context\": \"" + passage +
         "\",\n\"qas\": [{\"id\": \"7\", \"question\": \"who?\", \"answers\": [{\"text\": \"" + text +
         "\", \"answer_start\": " + start + "}]}]}]}]}";
}

TEST_F(MalformedTest, SquadDocuments) {
  const TaskEntry& task = FindTask("squad");
  std::string text = Squad("the c\\u00e4t \\ud83d\\ude00 sat", "sat", "10");  // counted in characters
  for (const std::string before : {"", kBom}) {
    for (const std::string after : {"", "\n", "\r\n"})
      EXPECT_EQ(Read(task, "d.json", before + text + after)[0].answers[0].text, "sat");
  }
  // Every beginning of a document is refused, with the line at which it ends.
  text = Squad("the cat", "cat", "4");
  for (size_t size = 0; size < text.size(); ++size) {
    const std::string begin = text.substr(0, size);
    const auto line = 1 + std::count(begin.begin(), begin.end(), '\n');
    EXPECT_THAT(Refusal(task, "d.json", begin), HasSubstr("d.json:" + std::to_string(line) + ": not JSON"))
        << begin;
  }
  EXPECT_THAT(Refusal(task, "d.json", text + "}"), HasSubstr("d.json:3: not JSON"));
  for (const std::string start : {"7", "8", "2147483647"})
    EXPECT_THAT(Refusal(task, "d.json", Squad("the cat", "cat", start)), HasSubstr("outside its passage"))
        << start;
  for (const std::string start : {"-1", "4.0", "2147483648", "1e99", "\"4\"", "null", "true"})
    EXPECT_THAT(Refusal(task, "d.json", Squad("the cat", "cat", start)), HasSubstr("not a whole number"))
        << start;
  EXPECT_THAT(Refusal(task, "d.json", Squad("the cat", "Cat", "4")), HasSubstr("another text there"));
  EXPECT_THAT(Refusal(task, "d.json", Squad("the \\ud800 cat", "cat", "6")), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal(task, "d.json", Squad("the \xff cat", "cat", "6")), HasSubstr("not JSON"));
}

}  // namespace
}  // namespace thimble::data
