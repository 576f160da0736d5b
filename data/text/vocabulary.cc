#include "data/text/vocabulary.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <queue>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "data/readers/table.h"

namespace thimble::data {
namespace {

using Counts = std::unordered_map<std::string, int64_t>;

// Words of one file, counted; lines are tokenized in parallel.
void CountWords(const std::string& path, const BasicTokenizer& basic, int threads, Counts* total) {
  constexpr size_t kBlock = size_t{1} << 20;
  const MappedFile file(path);
  const std::string_view text = file.bytes();
  // Blocks end at line ends, a line longer than a block makes a longer block.
  std::vector<std::string_view> blocks;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', std::min(text.size() - 1, begin + kBlock));
    end = end == std::string_view::npos ? text.size() : end + 1;
    blocks.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  std::mutex mutex;
  ParallelFor(blocks.size(), threads, [&](size_t b) {
    Counts counts;
    Words words;
    for (std::string_view rest = blocks[b]; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      basic.Split(rest.substr(0, end), false, &words);
      for (const auto& word : words.words) ++counts[words.bytes.substr(word.begin, word.end - word.begin)];
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    const std::lock_guard lock(mutex);
    for (const auto& [word, count] : counts) (*total)[word] += count;
  });
}

std::vector<std::string> Characters(const std::string& word) {
  std::vector<std::string> characters;
  for (size_t begin = 0; begin < word.size();) {
    size_t end = begin + 1;
    while (end < word.size() && U8_IS_TRAIL(word[end])) ++end;
    characters.push_back(word.substr(begin, end - begin));
    begin = end;
  }
  return characters;
}

class Trainer {
 public:
  Trainer(const Counts& counts, const VocabularyOptions& options) : options_(options) {
    const std::map<std::string, int64_t> sorted(counts.begin(), counts.end());
    std::map<std::string, int64_t> characters;
    for (const auto& [word, count] : sorted) {
      for (const auto& character : Characters(word)) characters[character] += count;
    }
    std::vector<std::pair<int64_t, std::string>> common;
    for (const auto& [character, count] : characters) common.emplace_back(-count, character);
    std::sort(common.begin(), common.end());
    if (common.size() > static_cast<size_t>(options.alphabet)) common.resize(options.alphabet);
    std::set<std::string> kept;
    for (const auto& [unused, character] : common) kept.insert(character);

    std::vector<std::pair<std::vector<std::string>, int64_t>> words;
    std::set<std::string> alphabet;
    for (const auto& [word, count] : sorted) {
      std::vector<std::string> pieces = Characters(word);
      if (!std::all_of(pieces.begin(), pieces.end(), [&](const auto& c) { return kept.count(c) != 0; }))
        continue;
      for (size_t i = 1; i < pieces.size(); ++i) pieces[i] = "##" + pieces[i];
      alphabet.insert(pieces.begin(), pieces.end());
      words.emplace_back(std::move(pieces), count);
    }
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) Add(token);
    for (const auto& piece : alphabet) Add(piece);
    for (const auto& [pieces, count] : words) {
      Word word{.count = count};
      for (const auto& piece : pieces) word.pieces.push_back(ids_.at(piece));
      words_.push_back(std::move(word));
    }
  }

  std::vector<std::string> Train() {
    if (tokens_.size() > static_cast<size_t>(options_.size)) {
      throw BadRequest("--size", "too small for the alphabet", std::to_string(options_.size),
                       "at least " + std::to_string(tokens_.size()) + ", or a smaller --alphabet");
    }
    for (size_t w = 0; w < words_.size(); ++w) {
      for (size_t i = 0; i + 1 < words_[w].pieces.size(); ++i) Change(PairOf(w, i), words_[w].count, w);
    }
    for (const auto& [pair, unused] : pairs_) Offer(pair);
    while (tokens_.size() < static_cast<size_t>(options_.size) && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto found = pairs_.find(best.pair);
      if (found == pairs_.end() || found->second.count != best.count)
        continue;  // a newer entry has the right count
      if (best.count < options_.min_frequency) break;
      Join(best.pair);
    }
    return std::move(tokens_);
  }

 private:
  using Pair = std::pair<int, int>;
  struct Word {
    std::vector<int> pieces;
    int64_t count = 0;
  };
  struct Uses {
    int64_t count = 0;
    std::set<size_t> words;  // that have or had the pair
  };
  struct Candidate {
    int64_t count;
    Pair pair;
    // Of equally frequent pairs the older pieces go first.
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  int Add(const std::string& token) {
    const auto [place, fresh] = ids_.emplace(token, static_cast<int>(tokens_.size()));
    if (fresh) tokens_.push_back(token);
    return place->second;
  }
  Pair PairOf(size_t w, size_t i) const { return {words_[w].pieces[i], words_[w].pieces[i + 1]}; }
  void Change(const Pair& pair, int64_t by, size_t word) {
    Uses& uses = pairs_[pair];
    uses.count += by;
    if (by > 0) uses.words.insert(word);
  }
  void Offer(const Pair& pair) {
    const int64_t count = pairs_[pair].count;
    if (count > 0) queue_.push({count, pair});
  }

  void Join(const Pair& pair) {
    const std::string& right = tokens_[pair.second];
    const int joined = Add(tokens_[pair.first] + right.substr(right.starts_with("##") ? 2 : 0));
    const auto words = std::move(pairs_[pair].words);
    std::set<Pair> changed;
    for (const size_t w : words) {
      auto& pieces = words_[w].pieces;
      const int64_t count = words_[w].count;
      for (size_t i = 0; i + 1 < pieces.size(); ++i) {
        if (PairOf(w, i) != pair) continue;
        const auto touch = [&](int64_t by) {
          if (i > 0) Change(PairOf(w, i - 1), by, w), changed.insert(PairOf(w, i - 1));
          if (i + 1 < pieces.size()) Change(PairOf(w, i), by, w), changed.insert(PairOf(w, i));
          if (by < 0 && i + 2 < pieces.size())
            Change(PairOf(w, i + 1), by, w), changed.insert(PairOf(w, i + 1));
        };
        touch(-count);
        pieces[i] = joined;
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        touch(count);
      }
    }
    pairs_.erase(pair);
    changed.erase(pair);
    for (const Pair& other : changed) Offer(other);
  }

  VocabularyOptions options_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int> ids_;
  std::vector<Word> words_;
  std::map<Pair, Uses> pairs_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

std::vector<std::string> TrainVocabulary(const std::vector<std::string>& files,
                                         const VocabularyOptions& options, int threads) {
  const BasicTokenizer basic(options.basic);
  Counts counts;
  for (const auto& file : files) CountWords(file, basic, threads, &counts);
  if (counts.empty()) throw BadRequest(Joined(files), "no word of text");
  return Trainer(counts, options).Train();
}

}  // namespace thimble::data
