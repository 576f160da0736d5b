#include "data/corpus.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parallel.h"
#include "data/readers/table.h"
#include "data/sentence_pairs.h"
#include "data/text/text_lines.h"
#include "data/token_file.h"

namespace thimble::data {
namespace {

namespace fs = std::filesystem;

constexpr int kDrawnEpochs = 5;
constexpr size_t kPieceLines = 8192, kPieceBytes = size_t{4} << 20;  // of text tokenized at once
constexpr char kIndex[] = "corpus.json";

std::string ShardPath(const std::string& folder, const std::string& part, size_t number) {
  char digits[16];
  std::snprintf(digits, sizeof(digits), "%06zu", number);
  return folder + "/" + part + "-" + digits + ".tokens";
}

// Cuts a run of examples into files.
class ShardWriter {
 public:
  ShardWriter(std::string folder, std::string part, std::string key, size_t most)
      : folder_(std::move(folder)), part_(std::move(part)), key_(std::move(key)), most_(most) {}

  void Add(Example example) {
    tokens_ += example.ids.size();
    for (const int32_t id : example.ids) highest_id_ = std::max(highest_id_, id);
    longest_ = std::max(longest_, example.ids.size());
    ++rows_;
    data_.examples.push_back(std::move(example));
    if (tokens_ >= most_) Flush();
  }
  void Flush() {
    if (data_.examples.empty()) return;
    data_.hash = Identity(data_);
    WriteTokenFile(ShardPath(folder_, part_, shards_++), key_, data_);
    data_.examples.clear();
    tokens_ = 0;
  }

  size_t rows() const { return rows_; }
  size_t shards() const { return shards_; }
  int32_t highest_id() const { return highest_id_; }
  size_t longest() const { return longest_; }

 private:
  std::string folder_, part_, key_;
  size_t most_, tokens_ = 0, rows_ = 0, shards_ = 0, longest_ = 0;
  int32_t highest_id_ = 0;
  Dataset data_;
};

// Gathers lines, cuts and tokenizes them side by side, hands them on in order.
class Tokenizing {
 public:
  // `tokenize` makes the examples of one line.
  using Body = std::function<std::vector<Example>(std::string_view line)>;
  Tokenizing(int threads, Body tokenize, ShardWriter* to)
      : threads_(threads), tokenize_(std::move(tokenize)), to_(to) {}

  void Add(std::string_view line, int32_t label) {
    lines_.emplace_back(line);
    labels_.push_back(label);
    bytes_ += line.size();
    if (lines_.size() >= kPieceLines || bytes_ >= kPieceBytes) Flush();
  }
  void Flush() {
    constexpr size_t kBlock = 64;
    std::vector<std::vector<Example>> made(lines_.size());
    ParallelFor((lines_.size() + kBlock - 1) / kBlock, threads_, [&](size_t block) {
      for (size_t i = block * kBlock; i < std::min(lines_.size(), (block + 1) * kBlock); ++i)
        made[i] = tokenize_(lines_[i]);
    });
    if (InterruptRequested()) throw Interrupted();
    for (size_t i = 0; i < made.size(); ++i)
      for (auto& example : made[i]) {
        example.label = labels_[i];
        to_->Add(std::move(example));
      }
    lines_.clear();
    labels_.clear();
    bytes_ = 0;
  }

 private:
  int threads_;
  Body tokenize_;
  ShardWriter* to_;
  std::vector<std::string> lines_;
  std::vector<int32_t> labels_;
  size_t bytes_ = 0;
};

struct EpochFacts {
  size_t rows = 0, shards = 0;
};

class Maker {
 public:
  Maker(const CorpusOptions& options, const WordPiece& tokenizer, const std::string& folder,
        const std::string& key, int threads)
      : options_(options), tokenizer_(tokenizer), folder_(folder), key_(key), threads_(threads) {}

  void Make() {
    if (options_.pairs) {
      MakeSentences();
      for (int epoch = 0; epoch < kDrawnEpochs; ++epoch) DrawPairs(epoch);
      for (size_t shard = 0; shard < sentences_.size(); ++shard)
        fs::remove(ShardPath(folder_, "text", shard));
    } else {
      MakeLines();
    }
    nlohmann::json index = {{"key", key_}, {"highest_id", highest_id_}, {"longest", longest_}};
    for (const auto& epoch : epochs_)
      index["epochs"].push_back({{"rows", epoch.rows}, {"shards", epoch.shards}});
    WriteFileAtomically(folder_ + "/" + kIndex, index.dump() + "\n");
  }

 private:
  void ForLines(const std::function<void(std::string_view line, int32_t document)>& body) const {
    const size_t most = options_.lines == 0 ? SIZE_MAX : static_cast<size_t>(options_.lines);
    size_t lines = 0;
    int32_t document = 0;
    // A file, too, is a document of its own.
    for (const auto& file : options_.files) {
      if (lines == most) break;
      ++document;
      ReadLines({file}, [&](std::string_view line) {
        if (options_.pairs ? IsHeading(line) : IsWikiHeading(line)) {
          ++document;
          return true;
        }
        body(line, document);
        return ++lines < most;
      });
    }
    if (lines == 0) throw BadRequest(Joined(options_.files), "no line of text", "", "plain text");
  }

  void Note(const ShardWriter& writer) {
    highest_id_ = std::max(highest_id_, writer.highest_id());
    longest_ = std::max(longest_, writer.longest());
    epochs_.push_back({writer.rows(), writer.shards()});
  }

  void MakeLines() {
    ShardWriter writer(folder_, "epoch-0", key_, options_.shard_tokens);
    Tokenizing tokenizing(
        threads_,
        [&](std::string_view line) {
          Encoding encoding = tokenizer_.Encode(line, {}, /*pair=*/false, options_.max_length);
          return std::vector<Example>{{std::move(encoding.ids), std::move(encoding.segments)}};
        },
        &writer);
    ForLines([&](std::string_view line, int32_t) { tokenizing.Add(line, -1); });
    tokenizing.Flush();
    writer.Flush();
    Note(writer);
  }

  // Each sentence a row, its label the number of its document.
  void MakeSentences() {
    ShardWriter writer(folder_, "text", key_, options_.shard_tokens);
    Tokenizing tokenizing(
        threads_,
        [&](std::string_view line) {
          std::vector<Example> sentences;
          for (const auto sentence : Sentences(line)) {
            Example example{.ids = tokenizer_.Pieces(sentence)};
            example.segments.assign(example.ids.size(), 0);
            if (!example.ids.empty()) sentences.push_back(std::move(example));
          }
          return sentences;
        },
        &writer);
    ForLines([&](std::string_view line, int32_t document) { tokenizing.Add(line, document); });
    tokenizing.Flush();
    writer.Flush();
    if (writer.rows() == 0) throw BadRequest(Joined(options_.files), "no sentence of text");
    int32_t document = -1;
    for (size_t shard = 0; shard < writer.shards(); ++shard) {
      sentences_.push_back(TokenFile::Open(ShardPath(folder_, "text", shard), key_));
      THIMBLE_CHECK(sentences_.back() != nullptr, "tokens just written cannot be read");
      starts_.push_back(starts_.back() + sentences_.back()->rows());
      for (size_t row = 0; row < sentences_.back()->rows(); ++row) {
        const int32_t of = sentences_.back()->Label(row);
        if (of != document) documents_.starts.push_back(starts_[shard] + row);
        document = of;
      }
      sentences_.back()->Forget();
    }
    documents_.starts.push_back(starts_.back());
    documents_.sentence = [this](size_t sentence) {
      const size_t shard = std::upper_bound(starts_.begin(), starts_.end(), sentence) - starts_.begin() - 1;
      return sentences_[shard]->Ids(sentence - starts_[shard]);
    };
  }

  void DrawPairs(int epoch) {
    constexpr size_t kDocuments = 64;  // drawn from at once
    ShardWriter writer(folder_, "epoch-" + std::to_string(epoch), key_, options_.shard_tokens);
    const Random random = Random(options_.seed).Fork("sentence pairs", static_cast<uint64_t>(epoch));
    const PairOptions options{
        .max_length = options_.max_length, .begin = tokenizer_.begin(), .separator = tokenizer_.separator()};
    for (size_t first = 0; first < documents_.size(); first += kDocuments) {
      if (InterruptRequested()) throw Interrupted();
      std::vector<std::vector<Example>> pairs(std::min(kDocuments, documents_.size() - first));
      ParallelFor(pairs.size(), threads_, [&](size_t i) {
        pairs[i] = MakePairs(documents_, first + i, options, random.Fork("document", first + i));
      });
      const size_t written = writer.shards();
      for (auto& of_document : pairs)
        for (auto& pair : of_document) writer.Add(std::move(pair));
      if (writer.shards() > written)
        for (const auto& shard : sentences_) shard->Forget();
    }
    writer.Flush();
    Note(writer);
  }

  const CorpusOptions& options_;
  const WordPiece& tokenizer_;
  const std::string& folder_;
  const std::string& key_;
  const int threads_;
  std::vector<EpochFacts> epochs_;
  int32_t highest_id_ = 0;
  size_t longest_ = 0;
  std::vector<std::unique_ptr<const TokenFile>> sentences_;
  std::vector<size_t> starts_ = {0};  // sentences before each file
  Documents documents_;
};

std::string KeyOf(const CorpusOptions& options, const WordPiece& tokenizer) {
  std::string settings = "corpus 1 " + tokenizer.hash() + " " + std::to_string(HashFiles(options.files)) +
                         " " + std::to_string(options.lines) + " " + std::to_string(options.max_length) +
                         " " + std::to_string(options.shard_tokens) + " " +
                         std::to_string(options.block_rows);
  if (options.pairs) settings += " pairs " + std::to_string(options.seed);
  return HashHex(settings);
}

}  // namespace

Corpus::~Corpus() = default;

bool Corpus::Read(const std::string& folder, const std::string& key) {
  if (!fs::exists(folder + "/" + kIndex)) return false;
  const auto index = nlohmann::json::parse(ReadFile(folder + "/" + kIndex), nullptr, false);
  try {
    if (index.at("key") != key) return false;
    highest_id_ = index.at("highest_id").get<int32_t>();
    longest_ = index.at("longest").get<int>();
    rows_ = SIZE_MAX;
    for (const auto& item : index.at("epochs")) {
      const std::string part = "epoch-" + std::to_string(epochs_.size());
      Epoch epoch;
      for (size_t shard = 0; shard < item.at("shards").get<size_t>(); ++shard) {
        epoch.shards.push_back(TokenFile::Open(ShardPath(folder, part, shard), key));
        if (!epoch.shards.back()) return false;
        epoch.starts.push_back(epoch.starts.back() + epoch.shards.back()->rows());
      }
      // Epochs are equally long, as schedules count steps: of one with more rows the last ones are left out.
      rows_ = std::min(rows_, epoch.starts.back());
      epochs_.push_back(std::move(epoch));
    }
  } catch (const nlohmann::json::exception&) {
    return false;
  }
  hash_ = key;
  return !epochs_.empty() && rows_ > 0;
}

std::shared_ptr<const Corpus> Corpus::Open(const CorpusOptions& options, const WordPiece& tokenizer,
                                           const std::string& directory, int threads) {
  THIMBLE_CHECK(options.shard_tokens > 0 && options.block_rows > 0 && options.max_length >= 8,
                "corpus options");
  const std::string key = KeyOf(options, tokenizer), folder = directory + "/corpus-" + key;
  for (const bool made : {false, true}) {
    std::shared_ptr<Corpus> corpus(new Corpus());
    corpus->block_rows_ = options.block_rows;
    if (corpus->Read(folder, key)) return corpus;
    THIMBLE_CHECK(!made, "a corpus just written cannot be read: " + folder);
    if (fs::exists(folder)) Warn(folder + ": damaged tokens, made anew");
    PendingDirectory pending(folder);
    Maker(options, tokenizer, pending.working(), key, threads).Make();
    pending.Commit();
  }
  return nullptr;
}

size_t Corpus::BlockRows(size_t block) const {
  THIMBLE_CHECK(block < blocks(), std::to_string(block));
  return std::min(block_rows_, rows_ - block * block_rows_);
}

Dataset Corpus::Block(int epoch, size_t block) const {
  const Epoch& from = epochs_[static_cast<size_t>(epoch) % epochs_.size()];
  const size_t begin = block * block_rows_, end = begin + BlockRows(block);
  Dataset data;
  data.examples.reserve(end - begin);
  size_t shard = std::upper_bound(from.starts.begin(), from.starts.end(), begin) - from.starts.begin() - 1;
  for (size_t row = begin; row < end; ++shard) {
    const size_t until = std::min(end, from.starts[shard + 1]);
    Dataset part = from.shards[shard]->Load(row - from.starts[shard], until - from.starts[shard]);
    from.shards[shard]->Forget();
    std::move(part.examples.begin(), part.examples.end(), std::back_inserter(data.examples));
    row = until;
  }
  return data;
}

Dataset StreamedText(const CorpusOptions& options, const WordPiece& tokenizer, const std::string& directory,
                     int threads) {
  Dataset data;
  data.corpus = Corpus::Open(options, tokenizer, directory, threads);
  data.hash = data.corpus->hash();
  return data;
}

}  // namespace thimble::data
