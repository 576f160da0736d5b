#include "data/check.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CheckTest, CountsWhatIsThere) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch.path() + "/RTE");
  scratch.Write("RTE/train.tsv",
                "index\ta\tb\tlabel\n0\tone two\tx\tentailment\n1\tone "
                "two\tx\tnot_entailment\n2\tthree\ty\tentailment\n3\tz\t\tentailed\n");
  scratch.Write("RTE/dev.tsv", "index\ta\tb\tlabel\n0\tthree\ty\tentailment\n1\t\tw\tentailment");
  const TaskEntry& task = FindTask("rte");
  const CheckReport report = CheckData(task, scratch.path(), nullptr, 128, 2);
  ASSERT_EQ(report.files.size(), 2u);
  const FileReport& train = report.files[0];
  EXPECT_EQ(train.rows, 3u);
  EXPECT_THAT(train.label_counts, ElementsAre(2, 1));
  EXPECT_EQ(train.repeated, 1u);
  EXPECT_EQ(train.contradictory, 1u);
  EXPECT_THAT(train.problems,
              ElementsAre(HasSubstr("train.tsv:5: unknown label in column 4; got \"entailed\"")));
  EXPECT_EQ(train.lengths.at(3), 2u);
  EXPECT_EQ(report.files[1].empty, 1u);
  EXPECT_EQ(report.train_in_dev, 1u);
  EXPECT_THAT(report.absent, ElementsAre(HasSubstr("test.tsv")));
  EXPECT_FALSE(report.Clean());
  const std::string text = CheckText(task, report, 128);
  EXPECT_THAT(text, HasSubstr("label entailment: 2 (66.7%)"));
  EXPECT_THAT(text, HasSubstr("bad rows: 1\n"));
  EXPECT_THAT(text, HasSubstr("dev rows whose texts are in the training file: 1"));

  const WordPiece tokenizer(scratch.Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\none\ntwo\n"));
  const CheckReport tokens = CheckData(task, scratch.path(), &tokenizer, 5, 1);
  EXPECT_EQ(tokens.files[0].lengths.at(6), 2u);
  EXPECT_EQ(tokens.files[0].truncated, 2u);
  EXPECT_THAT(CheckText(task, tokens, 5), HasSubstr("longer than 5, cut: 2 (66.7%)"));
  EXPECT_THAT(ErrorOf([&] { CheckData(FindTask("cola"), scratch.path(), nullptr, 128, 1); }),
              HasSubstr("no file of task cola"));
}

// Every task whose files are in ../shared/data reads without a bad row.
TEST(CheckTest, PublishedFilesAreClean) {
  const std::string data = THIMBLE_SOURCE_DIR "/../shared/data";
  if (!std::filesystem::exists(data + "/glue")) GTEST_SKIP() << "no data at " << data;
  const WordPiece tokenizer(data + "/vocab/bert-base-uncased-vocab.txt");
  for (const TaskEntry& task : Tasks()) {
    if (task.name == "custom" || task.name == "sample") continue;
    SCOPED_TRACE(task.name);
    const CheckReport report =
        CheckData(task, data + (task.format == FileFormat::kTsv ? "/glue" : ""), &tokenizer, 128, 2);
    EXPECT_TRUE(report.Clean());
    for (const auto& file : report.files) EXPECT_THAT(file.problems, IsEmpty()) << file.path;
    EXPECT_FALSE(CheckText(task, report, 128).empty());
    if (task.name == "qnli") EXPECT_EQ(report.train_in_dev, 0u);
  }
}

}  // namespace
}  // namespace thimble::data
