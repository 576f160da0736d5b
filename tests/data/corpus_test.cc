#include "data/corpus.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/files.h"
#include "data/cache.h"
#include "data/sentence_pairs.h"
#include "data/spans.h"
#include "data/text/text_lines.h"
#include "data/token_file.h"
#include "tests/data/scratch.h"

namespace thimble::data {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

// Words w0 to w99 are tokens 5 to 104.
std::string Vocabulary() {
  std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int i = 0; i < 100; ++i) text += "w" + std::to_string(i) + "\n";
  return text + ".\n";
}

std::string Words(Random* random, uint64_t most) {
  std::string text;
  for (uint64_t n = 1 + random->Below(most); n > 0; --n)
    text += "w" + std::to_string(random->Below(100)) + " ";
  return text;
}

class CorpusTest : public ::testing::Test {
 protected:
  std::string WriteLines(const std::string& name, int lines, uint64_t seed) {
    Random random(seed);
    std::string text;
    for (int i = 0; i < lines; ++i) text += Words(&random, 30) + (i % 3 == 0 ? "\r\n\n" : "\n");
    return scratch_.Write(name, text);
  }
  CorpusOptions Options(std::vector<std::string> files) const {
    return {.files = std::move(files), .max_length = 16, .shard_tokens = 100, .block_rows = 7};
  }
  std::shared_ptr<const Corpus> Open(const CorpusOptions& options, int threads = 2) const {
    return Corpus::Open(options, tokenizer_, scratch_.path() + "/work", threads);
  }
  std::vector<std::vector<int32_t>> All(const Corpus& corpus, int epoch = 0) const {
    std::vector<std::vector<int32_t>> all;
    for (size_t b = 0; b < corpus.blocks(); ++b)
      for (const auto& example : corpus.Block(epoch, b).examples) all.push_back(example.ids);
    return all;
  }
  // The only folder of a corpus in work/.
  std::string Folder() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(scratch_.path() + "/work")) found.push_back(entry.path());
    EXPECT_EQ(found.size(), 1u);
    return found[0];
  }

  const Scratch scratch_;
  const WordPiece tokenizer_{scratch_.Write("vocab.txt", Vocabulary())};
};

TEST_F(CorpusTest, LinesAreThoseOfADataset) {
  const std::string one = WriteLines("one.txt", 40, 1),
                    two = scratch_.Write("two.txt", " = Title = \nw1 w2\n\nw3");
  for (const int lines : {0, 17}) {
    auto options = Options({one, two});
    options.lines = lines;
    const Dataset wanted = TokenizeText(options.files, lines, tokenizer_, 16, 1);
    for (const int threads : {1, 4}) {
      const auto corpus = Open(options, threads);
      EXPECT_EQ(corpus->rows(), wanted.examples.size());
      EXPECT_EQ(corpus->blocks(), (wanted.examples.size() + 6) / 7);
      size_t row = 0;
      int longest = 0;
      for (size_t b = 0; b < corpus->blocks(); ++b) {
        const Dataset block = corpus->Block(3, b);  // every epoch is the same
        EXPECT_EQ(block.examples.size(), corpus->BlockRows(b));
        for (const auto& example : block.examples) {
          ASSERT_EQ(example.ids, wanted.examples[row].ids);
          ASSERT_EQ(example.segments, wanted.examples[row].segments);
          EXPECT_EQ(example.label, -1);
          longest = std::max(longest, static_cast<int>(example.ids.size()));
          ++row;
        }
      }
      EXPECT_EQ(row, wanted.examples.size());
      EXPECT_EQ(corpus->longest(), longest);
      EXPECT_LT(corpus->highest_id(), tokenizer_.size());
      fs::remove_all(scratch_.path() + "/work");
    }
  }
}

TEST_F(CorpusTest, HashFollowsFromTextTokenizerAndOptions) {
  const std::string file = WriteLines("a.txt", 20, 1);
  std::set<std::string> hashes = {Open(Options({file}))->hash()};
  EXPECT_EQ(Open(Options({file}))->hash(), *hashes.begin());
  auto options = Options({file});
  options.max_length = 12;
  EXPECT_TRUE(hashes.insert(Open(options)->hash()).second);
  options.pairs = true;
  EXPECT_TRUE(hashes.insert(Open(options)->hash()).second);
  options.seed = 2;
  EXPECT_TRUE(hashes.insert(Open(options)->hash()).second);
  EXPECT_TRUE(hashes.insert(Open(Options({WriteLines("a.txt", 20, 2)}))->hash()).second);
  const WordPiece other(scratch_.Write("vocab2.txt", Vocabulary() + "more\n"));
  EXPECT_TRUE(
      hashes.insert(Corpus::Open(Options({file}), other, scratch_.path() + "/work", 1)->hash()).second);
}

TEST_F(CorpusTest, DamagedFilesAreMadeAnewAndWholeOnesAreNot) {
  const auto options = Options({WriteLines("a.txt", 60, 1)});
  const auto wanted = All(*Open(options));
  const std::string folder = Folder();
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path());
  ASSERT_GE(names.size(), 4u);
  const auto written = [&] { return fs::last_write_time(folder); };
  auto before = written();
  Open(options);
  EXPECT_EQ(written(), before);
  for (const auto& name : names) {
    const std::string bytes = ReadFile(name);
    for (const int kind : {0, 1, 2, 3}) {
      if (kind == 0) fs::remove(name);
      if (kind == 1) std::ofstream(name, std::ios::binary) << bytes.substr(0, bytes.size() - 5);
      if (kind == 2) std::ofstream(name, std::ios::binary) << "";
      if (kind == 3) {
        std::string spoilt = bytes;
        spoilt[spoilt.size() / 2] ^= 1;
        std::ofstream(name, std::ios::binary) << spoilt;
      }
      EXPECT_EQ(All(*Open(options)), wanted) << name << " " << kind;
      EXPECT_EQ(ReadFile(name), bytes);
    }
  }
}

TEST_F(CorpusTest, TextWithoutALineIsRefusedAndLeavesNothing) {
  const std::string file = scratch_.Write("empty.txt", "\n = Title = \n");
  EXPECT_THAT(ErrorOf([&] { Open(Options({file})); }), ::testing::HasSubstr("no line of text"));
  EXPECT_THAT(ErrorOf([&] { Open(Options({scratch_.path() + "/absent.txt"})); }),
              ::testing::HasSubstr("absent.txt"));
  EXPECT_FALSE(fs::exists(scratch_.path() + "/work"));
}

TEST_F(CorpusTest, LinesLongerThanWhatIsReadAtOnce) {
  const std::string large(size_t{9} << 20, 'x');
  const std::string file = scratch_.Write("large.txt", "w1\n" + large + "\nw2");
  std::vector<size_t> sizes;
  ReadLines({file}, [&](std::string_view line) {
    sizes.push_back(line.size());
    return true;
  });
  EXPECT_THAT(sizes, ElementsAre(2, large.size(), 2));
  EXPECT_EQ(Open(Options({file}))->rows(), 3u);
}

// 80 MB of text; a model's batches come from it with less memory than it has bytes, whatever its size.
TEST_F(CorpusTest, MemoryDoesNotGrowWithTheText) {
  const auto peak = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) / 1024;
    return 0L;
  };
  const std::string path = scratch_.path() + "/large.txt";
  size_t bytes = 0;
  {
    std::ofstream out(path);
    Random random(1);
    std::string piece;
    for (int line = 0; line < 2000; ++line) piece += Words(&random, 60) + "\n";
    for (; bytes < (size_t{80} << 20); bytes += piece.size()) out << piece;
  }
  for (const bool pairs : {false, true}) {
    CorpusOptions options{.files = {path}, .pairs = pairs, .max_length = 128};
    if (pairs) options.lines = 200000;
    const auto corpus = Open(options);
    size_t rows = 0;
    for (size_t b = 0; b < corpus->blocks(); ++b) rows += corpus->Block(0, b).examples.size();
    EXPECT_EQ(rows, corpus->rows());
    EXPECT_GT(rows, pairs ? 10000u : 500000u);
  }
  EXPECT_GT(peak(), 0);
  EXPECT_LT(peak(), 200) << "MB";
}

TEST(SentencesTest, AreWhereUnicodePutsThem) {
  EXPECT_THAT(Sentences("One. Two? \"Three!\" he said. 4.5 is a number."),
              ElementsAre("One. ", "Two? ", "\"Three!\" ", "he said. ", "4.5 is a number."));
  EXPECT_THAT(Sentences("第一句。第二句。"), ElementsAre("第一句。", "第二句。"));
  EXPECT_TRUE(Sentences("").empty());
}

class PairsTest : public CorpusTest {
 protected:
  // Documents whose sentences are runs of one word: word d of document d, as long as the sentence's number.
  Documents Made(const std::vector<int>& sentences) {
    Documents documents;
    documents.starts = {0};
    for (size_t d = 0; d < sentences.size(); ++d) {
      for (int s = 0; s < sentences[d]; ++s)
        texts_.push_back(std::vector<int32_t>(static_cast<size_t>(2 + s % 5), 5 + static_cast<int32_t>(d)));
      documents.starts.push_back(texts_.size());
    }
    documents.sentence = [this](size_t s) { return std::span<const int32_t>(texts_[s]); };
    return documents;
  }
  std::vector<std::vector<int32_t>> texts_;
};

TEST_F(PairsTest, AreFormedAsBertsScriptDoes) {
  const Documents documents = Made({40, 25, 60, 1, 33});
  const PairOptions options{.max_length = 32, .begin = 2, .separator = 3};
  std::map<int, int> next;
  int shorter = 0, all = 0;
  for (uint64_t round = 0; round < 400; ++round) {
    for (size_t d = 0; d < documents.size(); ++d) {
      const auto pairs = MakePairs(documents, d, options, Random(round).Fork("d", d));
      for (const auto& pair : pairs) {
        ASSERT_EQ(pair.ids.size(), pair.segments.size());
        ASSERT_LE(pair.ids.size(), 32u);
        EXPECT_EQ(pair.ids.front(), 2);
        EXPECT_EQ(pair.ids.back(), 3);
        const auto middle = std::find(pair.ids.begin(), pair.ids.end(), 3) - pair.ids.begin();
        ASSERT_GT(middle, 1);
        ASSERT_GT(static_cast<int>(pair.ids.size()) - middle, 2);
        for (size_t i = 0; i < pair.ids.size(); ++i)
          EXPECT_EQ(pair.segments[i], i > static_cast<size_t>(middle) ? 1 : 0);
        EXPECT_EQ(pair.ids[1], 5 + static_cast<int32_t>(d));
        // The second text is of this document where it follows, of another one where it does not.
        EXPECT_EQ(pair.ids[static_cast<size_t>(middle) + 1] == 5 + static_cast<int32_t>(d), pair.label == 0);
        if (d != 3) ++next[pair.label];
        ++all;
        shorter += pair.ids.size() < 20;
      }
      if (d == 3) {  // a single sentence has none that follows
        ASSERT_EQ(pairs.size(), 1u);
        EXPECT_EQ(pairs[0].label, 1);
      }
    }
  }
  // Half of them; a little more are random, as the last chunk may be one sentence.
  const double share = next[1] / static_cast<double>(next[0] + next[1]);
  EXPECT_GT(share, 0.48);
  EXPECT_LT(share, 0.58);
  EXPECT_GT(shorter, all / 40);
  EXPECT_LT(shorter, all / 2);
}

// Where every pair "follows", a document's sentences come once each and in order.
TEST_F(PairsTest, EverySentenceIsRead) {
  const Documents documents = Made({30});
  const PairOptions options{.max_length = 64, .short_share = 0, .begin = 2, .separator = 3};
  size_t wanted = 0;
  for (const auto& text : texts_) wanted += text.size();
  bool found = false;
  for (uint64_t seed = 0; seed < 200 && !found; ++seed) {
    const auto pairs = MakePairs(documents, 0, options, Random(seed));
    if (std::any_of(pairs.begin(), pairs.end(), [](const auto& pair) { return pair.label == 1; })) continue;
    found = true;
    size_t tokens = 0;
    for (const auto& pair : pairs) tokens += pair.ids.size() - 3;
    EXPECT_LE(tokens, wanted);
    EXPECT_GE(tokens, wanted - 5 * pairs.size());  // what truncation to the room took
  }
  EXPECT_TRUE(found);
}

TEST_F(PairsTest, ACorpusOfPairsHasFiveEpochsOfEqualLength) {
  std::string text;
  Random random(3);
  for (int d = 0; d < 12; ++d) {
    text += "# Chapter\n";
    for (int line = 0; line < 10; ++line) {
      for (int s = 0; s < 4; ++s) text += "W" + std::to_string(d) + " " + Words(&random, 8) + ". ";
      text += "\n\n";
    }
  }
  auto options = Options({scratch_.Write("book.txt", text)});
  options.pairs = true;
  options.max_length = 40;
  const auto corpus = Open(options, 1);
  EXPECT_EQ(corpus->drawn(), 5);
  std::set<std::vector<std::vector<int32_t>>> epochs;
  for (int epoch = 0; epoch < 5; ++epoch) {
    epochs.insert(All(*corpus, epoch));
    EXPECT_EQ(All(*corpus, epoch).size(), corpus->rows());
  }
  EXPECT_EQ(epochs.size(), 5u);
  EXPECT_EQ(All(*corpus, 5), All(*corpus, 0));
  const auto first = All(*corpus, 2);
  fs::remove_all(scratch_.path() + "/work");
  EXPECT_EQ(All(*Open(options, 4), 2), first);  // threads do not matter
  for (const auto& entry : fs::directory_iterator(Folder()))
    EXPECT_NE(entry.path().filename().string().substr(0, 4), "text");  // the sentences are not kept
}

class CacheTest : public CorpusTest {
 protected:
  void ExpectSame(const Dataset& a, const Dataset& b) {
    EXPECT_EQ(a.hash, b.hash);
    EXPECT_EQ(a.classes, b.classes);
    EXPECT_EQ(a.kind, b.kind);
    ASSERT_EQ(a.examples.size(), b.examples.size());
    ASSERT_EQ(a.windows.size(), b.windows.size());
    for (size_t i = 0; i < a.examples.size(); ++i) {
      const Example &x = a.examples[i], &y = b.examples[i];
      EXPECT_EQ(x.ids, y.ids);
      EXPECT_EQ(x.segments, y.segments);
      EXPECT_THAT((std::vector<int>{x.label, x.start, x.end}), ElementsAre(y.label, y.start, y.end));
      EXPECT_EQ(x.score, y.score);
    }
    for (size_t i = 0; i < a.windows.size(); ++i) {
      EXPECT_EQ(a.windows[i].row, b.windows[i].row);
      EXPECT_EQ(a.windows[i].passage, b.windows[i].passage);
      EXPECT_EQ(a.windows[i].offsets, b.windows[i].offsets);
      EXPECT_EQ(a.windows[i].widest, b.windows[i].widest);
    }
  }
  size_t Files() const {
    size_t count = 0;
    if (fs::exists(cache_))
      for (const auto& entry : fs::directory_iterator(cache_)) count += entry.is_regular_file();
    return count;
  }
  const std::string cache_ = scratch_.path() + "/cache";
};

TEST_F(CacheTest, EveryKindOfTaskComesBackAsItWas) {
  Random random(4);
  size_t files = 0;
  for (const char* name : {"mrpc", "sst2", "stsb", "squad2"}) {
    const TaskEntry& task = FindTask(name);
    std::vector<Row> rows;
    for (int i = 0; i < 30; ++i) {
      Row row{.first = Words(&random, 9), .second = Words(&random, 40), .label = i % 2, .score = i / 7.0};
      if (task.kind != TaskKind::kClassification) row.label = 0;
      if (task.kind == TaskKind::kSpan && i % 3 > 0)
        row.answers = {{row.second.substr(0, row.second.find(' ')), 0}};
      rows.push_back(row);
    }
    const Dataset wanted = Tokenize(rows, task, tokenizer_, 24, 1);
    ExpectSame(TokenizeCached(rows, task, tokenizer_, 24, 2, cache_), wanted);
    EXPECT_EQ(Files(), ++files);
    const Dataset again = TokenizeCached(rows, task, tokenizer_, 24, 2, cache_);
    ExpectSame(again, wanted);
    EXPECT_EQ(Files(), files);
    EXPECT_EQ(again.rows != nullptr, task.kind == TaskKind::kSpan);
    // Any other setting, row or label is another file.
    TokenizeCached(rows, task, tokenizer_, 20, 2, cache_);
    auto changed = rows;
    changed[7].first += "w3";
    TokenizeCached(changed, task, tokenizer_, 24, 2, cache_);
    changed = rows;
    if (task.kind == TaskKind::kClassification) changed[7].label = 1 - rows[7].label;
    if (task.kind == TaskKind::kRegression) changed[7].score += 0.01;
    if (task.kind == TaskKind::kSpan) changed[7].answers.clear();
    ExpectSame(TokenizeCached(changed, task, tokenizer_, 24, 2, cache_),
               Tokenize(changed, task, tokenizer_, 24, 1));
    // A border moved from one text to the other.
    changed = rows;
    changed[7].second.insert(0, 1, changed[7].first.back());
    changed[7].first.pop_back();
    TokenizeCached(changed, task, tokenizer_, 24, 2, cache_);
    files += 4;
    EXPECT_EQ(Files(), files);
  }
}

TEST_F(CacheTest, ADamagedFileIsMadeAnew) {
  const TaskEntry& task = FindTask("sst2");
  const std::vector<Row> rows = {{"w1 w2", "", 1}, {"w3", "", 0}};
  const Dataset wanted = TokenizeCached(rows, task, tokenizer_, 24, 1, cache_);
  const std::string path = fs::directory_iterator(cache_)->path();
  const std::string bytes = ReadFile(path);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string spoilt = bytes;
    spoilt[i] ^= 0x40;
    for (const auto& now : {spoilt, bytes.substr(0, i), bytes + "x"}) {
      std::ofstream(path, std::ios::binary) << now;
      const Dataset got = TokenizeCached(rows, task, tokenizer_, 24, 1, cache_);
      ASSERT_EQ(got.examples.size(), 2u) << i;
      ASSERT_EQ(got.examples[0].ids, wanted.examples[0].ids) << i;
      ASSERT_EQ(got.hash, wanted.hash) << i;
      ASSERT_EQ(ReadFile(path), bytes) << i;
    }
  }
}

TEST_F(CacheTest, WithoutAPlaceForItWorkGoesOn) {
  const std::vector<Row> rows = {{"w1 w2", "", 1}};
  scratch_.Write("file", "");
  EXPECT_EQ(TokenizeCached(rows, FindTask("sst2"), tokenizer_, 24, 1, scratch_.path() + "/file/cache").size(),
            1u);
  EXPECT_EQ(TokenizeCached(rows, FindTask("sst2"), tokenizer_, 24, 1, "").size(), 1u);
}

TEST_F(CacheTest, Directory) {
  ::setenv("THIMBLE_CACHE", "/a/b", 1);
  EXPECT_EQ(CacheDirectory(""), "/a/b");
  EXPECT_EQ(CacheDirectory("/c"), "/c");
  EXPECT_EQ(CacheDirectory("none"), "");
  ::setenv("THIMBLE_CACHE", "none", 1);
  EXPECT_EQ(CacheDirectory(""), "");
  ::unsetenv("THIMBLE_CACHE");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(CacheDirectory(""), "/x/thimble");
}

}  // namespace
}  // namespace thimble::data
