#include "data/wordpiece.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "data/basic_tokenizer.h"
#include "data/tokenizer_files.h"

namespace thimble::data {
namespace {

constexpr uint32_t kMaxCharacters = 100;  // of a word; a longer one is [UNK], as in the published tokenizer
constexpr std::string_view kContinues = "##";

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

// How many tokens of each text stay when together they may have `room`: LongestFirst of `tokenizers`.
std::pair<size_t, size_t> Truncate(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const size_t shorter = std::min(first, second);
  const size_t half = room / 2;
  const size_t low = std::min(shorter, half);
  return first > second ? std::pair{room - low, low} : std::pair{low, room - low};
}

// The windows [begin, end) of `size` tokens when `keep` fit, each repeating `stride` tokens of the one
// before. Nothing fits: an empty window, then one with everything, as `tokenizers` has it.
std::vector<std::pair<size_t, size_t>> Windows(size_t size, size_t keep, size_t stride) {
  if (keep >= size) return {{0, size}};
  if (keep == 0) return {{0, 0}, {0, size}};
  if (stride >= keep)
    throw BadRequest("stride", "not below the tokens that fit into a window", std::to_string(stride),
                     "below " + std::to_string(keep));
  std::vector<std::pair<size_t, size_t>> windows;
  for (size_t begin = 0;; begin += keep - stride) {
    windows.emplace_back(begin, std::min(size, begin + keep));
    if (begin + keep >= size) return windows;
  }
}

}  // namespace

struct WordPiece::Impl {
  explicit Impl(TokenizerFiles files) : tokens(std::move(files.tokens)), basic(files.options) {
    starts.Reserve(tokens.size());
    continues.Reserve(tokens.size());
    for (size_t id = 0; id < tokens.size(); ++id) {
      const std::string_view token = tokens[id];
      if (const int32_t old = starts.Find(token); old != PieceTable::kNone) {
        throw BadRequest(files.path + ":" + std::to_string(id + 1), "duplicate token",
                         "\"" + tokens[id] + "\", already on line " + std::to_string(old + 1));
      }
      starts.Insert(token, static_cast<int32_t>(id));
      if (token.starts_with(kContinues))
        continues.Insert(token.substr(kContinues.size()), static_cast<int32_t>(id));
    }
    pad = Special(files.path, "[PAD]");
    unknown = Special(files.path, "[UNK]");
    begin = Special(files.path, "[CLS]");
    separator = Special(files.path, "[SEP]");
    mask = starts.Find("[MASK]");
    for (const auto& text : files.special) special.emplace_back(tokens[starts.Find(text)], starts.Find(text));
    // Of two that begin alike the longer one is meant.
    std::sort(special.begin(), special.end(),
              [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
    for (const auto& [text, id] : special) {
      special_starts[static_cast<uint8_t>(text[0])] = true;
      only_brackets = only_brackets && text[0] == '[';
    }
    std::string all;
    for (const auto& token : tokens) all += token + "\n";
    for (const auto& [text, id] : special) all += std::string(text) + "\t" + std::to_string(id) + "\n";
    for (const bool option :
         {files.options.lower_case, files.options.strip_accents, files.options.space_chinese})
      all += option ? "1" : "0";
    hash = HashHex(all);
  }

  int32_t Special(const std::string& path, const std::string& token) const {
    const int32_t id = starts.Find(token);
    if (id == PieceTable::kNone) throw BadRequest(path, "lacks the token " + token);
    return id;
  }

  // Longest match first; a word that cannot be covered is one [UNK]. `at` of the words' bytes: where the word
  // begins.
  void AppendWord(const Words& words, const Words::Word& place, uint32_t base, bool offsets,
                  PieceList* out) const {
    const std::string_view word = std::string_view(words.bytes).substr(place.begin, place.end - place.begin);
    const auto add = [&](int32_t id, size_t begin, size_t end) {
      out->ids.push_back(id);
      if (offsets)
        out->offsets.push_back(
            {base + words.begins[place.begin + begin], base + words.ends[place.begin + end - 1]});
    };
    if (place.characters > kMaxCharacters) return add(unknown, 0, word.size());
    const size_t kept = out->ids.size();
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
        out->ids.resize(kept);
        if (offsets) out->offsets.resize(kept);
        return add(unknown, 0, word.size());
      }
      add(id, at, at + length);
      at += length;
    }
  }

  // `base`: bytes of the whole text before this part of it.
  void AppendPlain(std::string_view text, size_t base, bool offsets, PieceList* out) const {
    static thread_local Words words;
    basic.Split(text, offsets, &words);
    for (const auto& word : words.words) AppendWord(words, word, static_cast<uint32_t>(base), offsets, out);
  }

  void Append(std::string_view text, bool offsets, PieceList* out) const {
    size_t plain = 0;
    for (size_t at = NextSpecialStart(text, 0); at < text.size(); at = NextSpecialStart(text, at)) {
      const auto match = std::find_if(special.begin(), special.end(), [&](const auto& token) {
        return text.substr(at).starts_with(token.first);
      });
      if (match == special.end()) {
        ++at;
        continue;
      }
      AppendPlain(text.substr(plain, at - plain), plain, offsets, out);
      out->ids.push_back(match->second);
      plain = at + match->first.size();
      if (offsets) out->offsets.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(plain)});
      at = plain;
    }
    AppendPlain(text.substr(plain), plain, offsets, out);
  }

  // Where the next special token may begin; the text's size if there is none.
  size_t NextSpecialStart(std::string_view text, size_t at) const {
    if (only_brackets) return std::min(text.find('[', at), text.size());
    while (at < text.size() && !special_starts[static_cast<uint8_t>(text[at])]) ++at;
    return at;
  }

  // [CLS] a [SEP] b [SEP] of the pieces [begin, end) of each text.
  Encoding Join(const PieceList& first, std::pair<size_t, size_t> a, const PieceList& second,
                std::pair<size_t, size_t> b, bool pair, bool offsets) const {
    Encoding encoding;
    const auto text = [&](const PieceList& pieces, std::pair<size_t, size_t> range, int32_t segment) {
      const auto begin = static_cast<std::ptrdiff_t>(range.first),
                 end = static_cast<std::ptrdiff_t>(range.second);
      encoding.ids.insert(encoding.ids.end(), pieces.ids.begin() + begin, pieces.ids.begin() + end);
      encoding.ids.push_back(separator);
      encoding.segments.resize(encoding.ids.size(), segment);
      if (!offsets) return;
      encoding.offsets.insert(encoding.offsets.end(), pieces.offsets.begin() + begin,
                              pieces.offsets.begin() + end);
      encoding.offsets.emplace_back();
    };
    encoding.ids.push_back(begin);
    if (offsets) encoding.offsets.emplace_back();
    text(first, a, 0);
    if (pair) text(second, b, 1);
    return encoding;
  }

  std::vector<std::string> tokens;
  BasicTokenizer basic;
  PieceTable starts, continues;  // pieces point into `tokens`; those of `continues` lack the "##"
  std::vector<std::pair<std::string_view, int32_t>> special;
  std::array<bool, 256> special_starts{};
  bool only_brackets = true;
  std::string hash;
  int32_t pad = 0, unknown = 0, begin = 0, separator = 0, mask = -1;
};

WordPiece::WordPiece(const std::string& path) : impl_(std::make_unique<Impl>(ReadTokenizerFiles(path))) {}

WordPiece::~WordPiece() = default;
WordPiece::WordPiece(WordPiece&&) noexcept = default;
WordPiece& WordPiece::operator=(WordPiece&&) noexcept = default;

std::vector<int32_t> WordPiece::Pieces(std::string_view text) const {
  PieceList pieces;
  impl_->Append(text, false, &pieces);
  return std::move(pieces.ids);
}

PieceList WordPiece::PiecesWithOffsets(std::string_view text) const {
  PieceList pieces;
  impl_->Append(text, true, &pieces);
  return pieces;
}

Encoding WordPiece::Encode(std::string_view first, std::string_view second, bool pair, int max_length) const {
  return std::move(EncodeAll(first, second, pair, {.max_length = max_length})[0]);
}

std::vector<Encoding> WordPiece::EncodeAll(std::string_view first, std::string_view second, bool pair,
                                           const EncodeOptions& options) const {
  THIMBLE_CHECK(options.max_length >= 3, std::to_string(options.max_length));
  const size_t room = options.max_length - (pair ? 3 : 2);
  PieceList a, b;
  impl_->Append(first, options.offsets, &a);
  if (pair) impl_->Append(second, options.offsets, &b);
  size_t keep_a = a.ids.size(), keep_b = b.ids.size();
  if (keep_a + keep_b > room && options.truncation == Truncation::kLongestFirst) {
    std::tie(keep_a, keep_b) = Truncate(keep_a, keep_b, room);
  } else if (keep_a + keep_b > room) {
    const bool only_first = options.truncation == Truncation::kOnlyFirst;
    size_t& cut = only_first ? keep_a : keep_b;
    const size_t excess = keep_a + keep_b - room;
    if (cut <= excess) {
      throw BadRequest(only_first ? "the first text" : "the second text",
                       "too short to be the only one that is cut", std::to_string(cut) + " tokens",
                       "more than " + std::to_string(excess));
    }
    cut -= excess;
  }
  if (!options.overflow) return {impl_->Join(a, {0, keep_a}, b, {0, keep_b}, pair, options.offsets)};
  const auto stride = static_cast<size_t>(options.stride);
  const auto of_a = Windows(a.ids.size(), keep_a, stride), of_b = Windows(b.ids.size(), keep_b, stride);
  std::vector<Encoding> result;
  const auto add = [&](size_t i, size_t j) {
    result.push_back(impl_->Join(a, of_a[i], b, of_b[j], pair, options.offsets));
  };
  add(0, 0);
  for (size_t i = 1; i < of_a.size(); ++i) {
    for (size_t j = 0; j < of_b.size(); ++j) add(i, j);
  }
  for (size_t j = 1; j < of_b.size(); ++j) add(0, j);
  return result;
}

int WordPiece::size() const { return static_cast<int>(impl_->tokens.size()); }
int WordPiece::pad() const { return impl_->pad; }
int WordPiece::begin() const { return impl_->begin; }
int WordPiece::separator() const { return impl_->separator; }
int WordPiece::mask() const { return impl_->mask; }

bool WordPiece::Continues(int32_t id) const { return Token(id).starts_with(kContinues); }

bool WordPiece::IsSpecial(int32_t id) const {
  return std::any_of(impl_->special.begin(), impl_->special.end(),
                     [&](const auto& token) { return token.second == id; });
}

const std::string& WordPiece::hash() const { return impl_->hash; }

const std::string& WordPiece::Token(int32_t id) const {
  THIMBLE_CHECK(id >= 0 && id < size(), std::to_string(id));
  return impl_->tokens[id];
}

std::vector<Offset> InCharacters(std::string_view text, std::vector<Offset> offsets) {
  std::vector<uint32_t> characters(text.size() + 1);  // before each byte
  uint32_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    characters[i] = count;
    count += i + 1 == text.size() || !U8_IS_TRAIL(text[i + 1]);
  }
  characters[text.size()] = count;
  for (Offset& offset : offsets) offset = {characters[offset.begin], characters[offset.end]};
  return offsets;
}

}  // namespace thimble::data
