#include "data/text/wordpiece.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/readers/table.h"
#include "data/text/added_tokens.h"
#include "data/text/basic_tokenizer.h"
#include "data/text/piece_table.h"
#include "data/text/tokenizer_files.h"
#include "data/text/truncation.h"

namespace thimble::data {
namespace {

constexpr uint32_t kMaxCharacters = 100;  // of a word; a longer one is [UNK], as in the published tokenizer
constexpr std::string_view kContinues = "##";

}  // namespace

struct WordPiece::Impl {
  explicit Impl(TokenizerFiles read) : files(std::move(read)), basic(files.options) {
    for (const auto& warning : files.warnings) WarnOnce(warning);
    FillPieces();
    FillFinders();
    hash = HashOfAll();
  }

  void FillPieces() {
    int32_t end = files.size;
    for (const auto& token : files.added) end = std::max(end, token.id + 1);
    pieces.resize(end);
    starts.Reserve(files.pieces.size());
    continues.Reserve(files.pieces.size());
    for (const auto& [piece, id] : files.pieces) pieces[id] = piece;
    for (size_t id = 0; id < pieces.size(); ++id) {
      const std::string_view piece = pieces[id];
      if (piece.empty()) continue;  // a blank line, or no piece has this id
      starts.Insert(piece, static_cast<int32_t>(id));
      if (piece.starts_with(kContinues) && piece != kContinues)
        continues.Insert(piece.substr(kContinues.size()), static_cast<int32_t>(id));
    }
  }

  // In the order of their ids, so that of two normalized tokens with one form the first stands for both.
  void FillFinders() {
    std::vector<AddedToken> plain, normal;
    std::map<std::string, std::string> forms;
    for (const AddedToken& token : files.added) {
      names[token.id] = token.content;
      if (!token.normalized) {
        plain.push_back(token);
        continue;
      }
      if (token.form.empty())
        throw BadRequest(files.path, "nothing is left of the added token " + Quoted(token.content) +
                                         " when it is normalized");
      const auto [other, fresh] = forms.emplace(token.form, token.content);
      if (fresh)
        normal.push_back(token);
      else
        WarnOnce(files.path + ": the added tokens " + Quoted(other->second) + " and " +
                 Quoted(token.content) + " are the same when normalized; " + Quoted(other->second) +
                 " is taken for both");
    }
    raw = TokenFinder(std::move(plain), files.split_special);
    normalized = TokenFinder(std::move(normal), files.split_special);
  }

  // [PAD] [UNK] [CLS] [SEP] [MASK] and tokens that are found as they are spelt, each under its own name.
  bool IsPlain() const {
    const auto named = [&](int32_t id, std::string_view name) {
      return id >= 0 && static_cast<size_t>(id) < pieces.size() && pieces[id] == name;
    };
    return !files.split_special && named(files.pad, "[PAD]") && named(files.unknown, "[UNK]") &&
           named(files.begin, "[CLS]") && named(files.separator, "[SEP]") &&
           (files.mask < 0 || named(files.mask, "[MASK]")) &&
           std::all_of(files.added.begin(), files.added.end(), [&](const AddedToken& token) {
             return token.special && !token.single_word && !token.lstrip && !token.rstrip &&
                    !token.normalized && named(token.id, token.content);
           });
  }

  // A plain tokenizer has the hash that it had when thimble knew no others: text that was prepared with it,
  // and weights that were trained on that text, are found again.
  std::string HashOfPlain() const {
    std::string all;
    for (const auto& piece : pieces) all += piece + "\n";
    std::vector<std::pair<std::string, int32_t>> found;
    for (const int32_t id : {files.pad, files.unknown, files.begin, files.separator, files.mask})
      if (id >= 0) found.emplace_back(pieces[id], id);
    for (const AddedToken& token : files.added) {
      const std::pair<std::string, int32_t> entry{token.content, token.id};
      if (std::find(found.begin(), found.end(), entry) == found.end()) found.push_back(entry);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
    for (const auto& [text, id] : found) all += text + "\t" + std::to_string(id) + "\n";
    for (const bool option :
         {files.options.lower_case, files.options.strip_accents, files.options.space_chinese})
      all += option ? "1" : "0";
    return HashHex(all);
  }

  std::string HashOfAll() const {
    if (IsPlain()) return HashOfPlain();
    std::string all;
    for (const auto& piece : pieces) all += piece + "\n";
    for (const AddedToken& token : files.added) {
      all += token.content + "\t" + token.form + "\t" + std::to_string(token.id) + "\t";
      for (const bool flag : {token.single_word, token.lstrip, token.rstrip, token.normalized, token.special})
        all += flag ? "1" : "0";
      all += "\n";
    }
    for (const int32_t id : {files.pad, files.unknown, files.begin, files.separator, files.mask})
      all += std::to_string(id) + " ";
    for (const bool option : {files.options.lower_case, files.options.strip_accents,
                              files.options.space_chinese, files.split_special})
      all += option ? "1" : "0";
    return HashHex(all);
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
    if (place.characters > kMaxCharacters) return add(files.unknown, 0, word.size());
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
        return add(files.unknown, 0, word.size());
      }
      add(id, at, at + length);
      at += length;
    }
  }

  // `base`: bytes of the whole text before this part of it, in which no other token stands as it is spelt.
  void AppendPart(std::string_view text, size_t base, bool offsets, PieceList* out) const {
    static thread_local Words words;
    const auto append = [&] {
      for (const auto& word : words.words) AppendWord(words, word, static_cast<uint32_t>(base), offsets, out);
    };
    if (normalized.empty()) {
      basic.Split(text, offsets, &words);
      return append();
    }
    static thread_local NormalizedText clean;
    basic.Normalize(text, &clean);
    Walk(
        normalized, clean.bytes,
        [&](size_t begin, size_t end) {
          basic.SplitNormalized(clean, begin, end, &words);
          append();
        },
        [&](const TokenFinder::Found& found) {
          out->ids.push_back(found.id);
          if (offsets)
            out->offsets.push_back({static_cast<uint32_t>(base) + clean.begins[found.begin],
                                    static_cast<uint32_t>(base) + clean.ends[found.end - 1]});
        });
  }

  void Append(std::string_view text, bool offsets, PieceList* out) const {
    Walk(
        raw, text,
        [&](size_t begin, size_t end) { AppendPart(text.substr(begin, end - begin), begin, offsets, out); },
        [&](const TokenFinder::Found& found) {
          out->ids.push_back(found.id);
          if (offsets)
            out->offsets.push_back({static_cast<uint32_t>(found.begin), static_cast<uint32_t>(found.end)});
        });
  }

  // Calls `part` and `token` for what `finder` finds in a text and what is between, in their order.
  template <typename Part, typename Token>
  static void Walk(const TokenFinder& finder, std::string_view text, const Part& part, const Token& token) {
    size_t done = 0, at = 0;
    while (const auto found = finder.Next(text, &at, done)) {
      if (done < found->begin) part(done, found->begin);
      token(*found);
      done = found->end;
    }
    if (done != text.size()) part(done, text.size());
  }

  // [CLS] a [SEP] b [SEP] of the pieces [begin, end) of each text.
  Encoding Join(const PieceList& first, std::pair<size_t, size_t> a, const PieceList& second,
                std::pair<size_t, size_t> b, bool pair, bool offsets) const {
    Encoding encoding;
    const auto text = [&](const PieceList& pieces, std::pair<size_t, size_t> range, int32_t segment) {
      const auto begin = static_cast<std::ptrdiff_t>(range.first),
                 end = static_cast<std::ptrdiff_t>(range.second);
      encoding.ids.insert(encoding.ids.end(), pieces.ids.begin() + begin, pieces.ids.begin() + end);
      encoding.ids.push_back(files.separator);
      encoding.segments.resize(encoding.ids.size(), segment);
      if (!offsets) return;
      encoding.offsets.insert(encoding.offsets.end(), pieces.offsets.begin() + begin,
                              pieces.offsets.begin() + end);
      encoding.offsets.emplace_back();
    };
    encoding.ids.push_back(files.begin);
    if (offsets) encoding.offsets.emplace_back();
    text(first, a, 0);
    if (pair) text(second, b, 1);
    return encoding;
  }

  TokenizerFiles files;
  BasicTokenizer basic;
  std::vector<std::string> pieces;                 // by id; empty where an id has none
  PieceTable starts, continues;                    // point into `pieces`; those of `continues` lack the "##"
  std::unordered_map<int32_t, std::string> names;  // of added tokens
  TokenFinder raw, normalized;
  std::string hash;
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

int WordPiece::size() const { return impl_->files.size; }
int WordPiece::pad() const { return impl_->files.pad; }
int WordPiece::begin() const { return impl_->files.begin; }
int WordPiece::separator() const { return impl_->files.separator; }
int WordPiece::mask() const { return impl_->files.mask; }

bool WordPiece::Continues(int32_t id) const { return Token(id).starts_with(kContinues); }

bool WordPiece::IsSpecial(int32_t id) const {
  return std::any_of(impl_->files.added.begin(), impl_->files.added.end(),
                     [&](const auto& token) { return token.special && token.id == id; });
}

const std::string& WordPiece::hash() const { return impl_->hash; }

const std::string& WordPiece::Token(int32_t id) const {
  THIMBLE_CHECK(id >= 0 && id < static_cast<int32_t>(impl_->pieces.size()), std::to_string(id));
  const auto added = impl_->names.find(id);
  return added != impl_->names.end() ? added->second : impl_->pieces[id];
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
