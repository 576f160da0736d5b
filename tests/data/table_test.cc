#include "data/readers/table.h"

#include <gmock/gmock.h>

#include "data/metrics/submission.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TableTest : public ::testing::Test {
 protected:
  // Rows as "LINE:cell|cell".
  std::vector<std::string> Read(FileFormat format, const std::string& text,
                                const std::vector<std::string>& columns = {}, bool header = true) {
    const std::string path = scratch_.Write("table", text);
    std::vector<std::string> rows;
    ReadTable(
        path, {.format = format, .header = header, .columns = columns},
        [&](const std::string& where, std::vector<std::string_view>& cells) {
          std::string row = where.substr(path.size() + 1) + ":";
          for (size_t i = 0; i < cells.size(); ++i) row += (i ? "|" : "") + std::string(cells[i]);
          rows.push_back(row);
          return true;
        },
        [](const std::string& message) { throw Error(message); });
    return rows;
  }
  const Scratch scratch_;
};

TEST_F(TableTest, BlankLinesArePassedOverInEveryFormat) {
  const auto expected = ElementsAre("3:x|1", "6:y|2");
  EXPECT_THAT(Read(FileFormat::kTsv, "\na\tb\nx\t1\n\n  \r\ny\t2\n\n \n", {"a", "b"}), expected);
  EXPECT_THAT(Read(FileFormat::kCsv, "\na,b\nx,1\n\n  \r\ny,2\n\n \n", {"a", "b"}), expected);
  EXPECT_THAT(Read(FileFormat::kJsonLines, "\n\n{\"a\":\"x\",\"b\":1}\n\n \t\r\n{\"a\":\"y\",\"b\":2}\n\n \n",
                   {"a", "b"}),
              expected);
  EXPECT_THAT(Read(FileFormat::kTsv, "x\t1\n\ny\t2\n\n", {}, /*header=*/false),
              ElementsAre("1:x|1", "3:y|2"));
}

TEST_F(TableTest, InAnOnlyColumnABlankLineIsAnEmptyTextButAtTheEnd) {
  for (const auto format : {FileFormat::kTsv, FileFormat::kCsv})
    EXPECT_THAT(Read(format, "a\nx\n\ny\n\n\r\n", {"a"}), ElementsAre("2:x", "3:", "4:y"));
}

TEST_F(TableTest, EmptyCellsAreNoBlankLine) {
  EXPECT_THAT(Read(FileFormat::kTsv, "a\tb\n\t\n", {"a", "b"}), ElementsAre("2:|"));
  EXPECT_THAT(Read(FileFormat::kCsv, "a,b\n,\n", {"a", "b"}), ElementsAre("2:|"));
}

TEST_F(TableTest, PublishedFilesAndPredictionsMayEndWithABlankLine) {
  const TaskEntry& rte = FindTask("rte");
  const std::string path =
      scratch_.Write("dev.tsv", "index\ta\tb\tlabel\n0\tx\ty\tentailment\n\n1\tz\tw\tnot_entailment\n\n\n");
  const auto rows = ReadRows(rte, path);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].first, "z");
  const std::string predictions =
      scratch_.Write("p.tsv", "index\tprediction\n0\tentailment\n1\tentailment\n\n");
  EXPECT_EQ(ScorePredictions(rte, rows, predictions)[0].value, 0.5);
  EXPECT_THAT(ErrorOf([&] { ReadRows(rte, scratch_.Write("none.tsv", "index\ta\tb\tlabel\n\n\n")); }),
              HasSubstr("no rows"));
}

}  // namespace
}  // namespace thimble::data
