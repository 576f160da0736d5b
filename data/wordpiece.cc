#include "data/wordpiece.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "data/basic_tokenizer.h"

namespace thimble::data {
namespace {

constexpr uint32_t kMaxCharacters = 100;  // of a word; a longer one is [UNK], as in the published tokenizer
constexpr std::string_view kContinues = "##";
constexpr std::array<std::string_view, 5> kSpecial = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

// Piece to id, open addressing. Most lookups while a word is being cut are misses; they end in the slots
// themselves, where std::unordered_map follows pointers.
class PieceTable {
 public:
  static constexpr int32_t kNone = -1;

  void Reserve(size_t pieces) { slots_.assign(std::bit_ceil(2 * pieces + 1), {}); }

  int32_t Find(std::string_view piece) const { return slots_[Locate(piece, Hash64(piece))].id; }

  // `piece` must outlive the table and be new to it.
  void Insert(std::string_view piece, int32_t id) {
    const uint64_t hash = Hash64(piece);
    slots_[Locate(piece, hash)] = {static_cast<uint32_t>(hash >> 32), id,
                                   static_cast<uint32_t>(pieces_.size())};
    pieces_.push_back(piece);
    longest_ = std::max(longest_, piece.size());
  }

  size_t longest() const { return longest_; }  // bytes

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t id = kNone;
    uint32_t piece = 0;
  };

  // The slot that holds `piece`, or the free one where it belongs.
  size_t Locate(std::string_view piece, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at].id != kNone &&
           (slots_[at].hash != static_cast<uint32_t>(hash >> 32) || pieces_[slots_[at].piece] != piece)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
  std::vector<std::string_view> pieces_;
  size_t longest_ = 0;
};

std::vector<std::string> ReadVocabulary(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 28;
  const MappedFile file(path);
  std::string_view bytes = file.bytes();
  if (bytes.size() > kMaxBytes)
    throw BadRequest(path, "too large for a vocabulary", std::to_string(bytes.size()) + " bytes");
  std::vector<std::string> tokens;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.emplace_back(line);
    if (!IsUtf8(line)) throw BadRequest(path + ":" + std::to_string(tokens.size()), "invalid UTF-8");
  }
  if (tokens.empty()) throw BadRequest(path, "empty vocabulary", "", "one token a line");
  return tokens;
}

BasicOptions ReadOptions(const std::string& path) {
  BasicOptions options;
  if (!std::filesystem::exists(path)) return options;
  const auto json = nlohmann::json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw BadRequest(path, "not a JSON object");
  auto read = [&](const char* key, bool fallback) {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) return fallback;
    if (!found->is_boolean()) {
      throw BadRequest(path, key, found->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace),
                       "true, false");
    }
    return found->get<bool>();
  };
  options.lower_case = read("do_lower_case", true);
  options.strip_accents = read("strip_accents", options.lower_case);
  options.space_chinese = read("tokenize_chinese_chars", true);
  return options;
}

std::string VocabularyPath(const std::string& path) {
  return std::filesystem::is_directory(path) ? (std::filesystem::path(path) / "vocab.txt").string() : path;
}

// How many tokens of each text stay when together they may have `room`: LongestFirst of `tokenizers`.
std::pair<size_t, size_t> Truncate(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const size_t shorter = std::min(first, second);
  const size_t half = room / 2;
  const size_t low = std::min(shorter, half);
  return first > second ? std::pair{room - low, low} : std::pair{low, room - low};
}

}  // namespace

struct WordPiece::Impl {
  Impl(const std::string& path, const BasicOptions& options) : tokens(ReadVocabulary(path)), basic(options) {
    starts.Reserve(tokens.size());
    continues.Reserve(tokens.size());
    for (size_t id = 0; id < tokens.size(); ++id) {
      const std::string_view token = tokens[id];
      if (const int32_t old = starts.Find(token); old != PieceTable::kNone) {
        throw BadRequest(path + ":" + std::to_string(id + 1), "duplicate token",
                         "\"" + tokens[id] + "\", already on line " + std::to_string(old + 1));
      }
      starts.Insert(token, static_cast<int32_t>(id));
      if (token.starts_with(kContinues))
        continues.Insert(token.substr(kContinues.size()), static_cast<int32_t>(id));
    }
    pad = Special(path, "[PAD]");
    unknown = Special(path, "[UNK]");
    begin = Special(path, "[CLS]");
    separator = Special(path, "[SEP]");
    for (const std::string_view text : kSpecial) {
      if (const int32_t id = starts.Find(text); id != PieceTable::kNone) special.emplace_back(text, id);
    }
  }

  int32_t Special(const std::string& path, const std::string& token) const {
    const int32_t id = starts.Find(token);
    if (id == PieceTable::kNone) throw BadRequest(path, "lacks the token " + token);
    return id;
  }

  // Longest match first; a word that cannot be covered is one [UNK].
  void AppendWord(std::string_view word, uint32_t characters, std::vector<int32_t>* ids) const {
    if (characters > kMaxCharacters) {
      ids->push_back(unknown);
      return;
    }
    const size_t kept = ids->size();
    for (size_t at = 0; at < word.size();) {
      const PieceTable& pieces = at == 0 ? starts : continues;
      size_t length = word.size() - at;
      if (length > pieces.longest()) {
        length = pieces.longest();
        while (length > 0 && U8_IS_TRAIL(word[at + length])) --length;
      }
      int32_t id = PieceTable::kNone;
      while (length > 0 && (id = pieces.Find(word.substr(at, length))) == PieceTable::kNone) {
        do {
          --length;
        } while (length > 0 && U8_IS_TRAIL(word[at + length]));
      }
      if (length == 0) {
        ids->resize(kept);
        ids->push_back(unknown);
        return;
      }
      ids->push_back(id);
      at += length;
    }
  }

  void AppendPlain(std::string_view text, std::vector<int32_t>* ids) const {
    static thread_local Words words;
    basic.Split(text, &words);
    const std::string_view bytes = words.bytes;
    for (const auto& word : words.words) {
      AppendWord(bytes.substr(word.begin, word.end - word.begin), word.characters, ids);
    }
  }

  void Append(std::string_view text, std::vector<int32_t>* ids) const {
    size_t plain = 0;
    for (size_t at = text.find('['); at != std::string_view::npos; at = text.find('[', at)) {
      const auto match = std::find_if(special.begin(), special.end(), [&](const auto& token) {
        return text.substr(at).starts_with(token.first);
      });
      if (match == special.end()) {
        ++at;
        continue;
      }
      AppendPlain(text.substr(plain, at - plain), ids);
      ids->push_back(match->second);
      plain = at += match->first.size();
    }
    AppendPlain(text.substr(plain), ids);
  }

  std::vector<std::string> tokens;
  BasicTokenizer basic;
  PieceTable starts, continues;  // pieces point into `tokens`; those of `continues` lack the "##"
  std::vector<std::pair<std::string_view, int32_t>> special;
  int32_t pad = 0, unknown = 0, begin = 0, separator = 0;
};

WordPiece::WordPiece(const std::string& path) {
  const std::string file = VocabularyPath(path);
  const auto config = std::filesystem::path(file).replace_filename("tokenizer_config.json");
  impl_ = std::make_unique<Impl>(file, ReadOptions(config.string()));
}

WordPiece::~WordPiece() = default;
WordPiece::WordPiece(WordPiece&&) noexcept = default;
WordPiece& WordPiece::operator=(WordPiece&&) noexcept = default;

std::vector<int32_t> WordPiece::Pieces(std::string_view text) const {
  std::vector<int32_t> ids;
  impl_->Append(text, &ids);
  return ids;
}

Encoding WordPiece::Encode(std::string_view first, std::string_view second, bool pair, int max_length) const {
  THIMBLE_CHECK(max_length >= 3, std::to_string(max_length));
  const size_t room = max_length - (pair ? 3 : 2);
  Encoding encoding;
  auto& ids = encoding.ids;
  ids.push_back(impl_->begin);
  impl_->Append(first, &ids);
  std::vector<int32_t> rest;
  if (pair) impl_->Append(second, &rest);
  const auto [first_size, rest_size] = Truncate(ids.size() - 1, rest.size(), room);
  ids.resize(1 + first_size);
  ids.push_back(impl_->separator);
  encoding.segments.assign(ids.size(), 0);
  if (pair) {
    ids.insert(ids.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(rest_size));
    ids.push_back(impl_->separator);
    encoding.segments.resize(ids.size(), 1);
  }
  return encoding;
}

int WordPiece::size() const { return static_cast<int>(impl_->tokens.size()); }
int WordPiece::pad() const { return impl_->pad; }

const std::string& WordPiece::Token(int32_t id) const {
  THIMBLE_CHECK(id >= 0 && id < size(), std::to_string(id));
  return impl_->tokens[id];
}

}  // namespace thimble::data
