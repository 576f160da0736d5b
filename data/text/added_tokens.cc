#include "data/text/added_tokens.h"

#include <unicode/utf8.h>

#include <algorithm>

#include "base/error.h"
#include "data/text/characters.h"

namespace thimble::data {
namespace {

bool EndsWithWord(std::string_view text) {
  const UChar32 last = LastCharacter(text);
  return last >= 0 && IsWordCharacter(last);
}

bool StartsWithWord(std::string_view text) {
  if (text.empty()) return false;
  UChar32 c;
  size_t begin = 0;
  U8_NEXT(text.data(), begin, text.size(), c);
  return c >= 0 && IsWordCharacter(c);
}

// Where the white space at the start of a text ends.
size_t LeadingSpace(std::string_view text) {
  size_t end = 0;
  while (end < text.size()) {
    UChar32 c;
    size_t after = end;
    U8_NEXT(text.data(), after, text.size(), c);
    if (c < 0 || !IsSpace(c)) break;
    end = after;
  }
  return end;
}

}  // namespace

void AddedTokenList::Add(const std::vector<AddedToken>& tokens, const BasicTokenizer& normalizer) {
  NormalizedText text;
  auto next = static_cast<int32_t>(pieces_->size());
  if (!found_.empty()) next = std::max(next, found_.rbegin()->first + 1);
  for (AddedToken token : tokens) {
    if (token.content.empty()) continue;
    token.id = IdOf(token.content);
    if (token.id < 0) token.id = next++;
    ids_.insert_or_assign(token.content, token.id);
    if (token.special) special_.insert(token.content);
    if (token.normalized) {
      normalizer.Normalize(token.content, &text);
      if (text.bytes != token.content) forms_.insert_or_assign(token.id, text.bytes);
    }
    found_.insert_or_assign(token.id, token);
  }
}

bool AddedTokenList::Finds(const std::string& content) const {
  const auto id = ids_.find(content);
  return id != ids_.end() && found_.at(id->second).content == content;
}

int32_t AddedTokenList::IdOf(const std::string& content) const {
  if (const auto added = ids_.find(content); added != ids_.end()) return added->second;
  const auto piece = pieces_->find(content);
  return piece == pieces_->end() ? -1 : piece->second;
}

std::vector<AddedToken> AddedTokenList::tokens() const {
  std::vector<AddedToken> tokens;
  for (const auto& [id, token] : found_) {
    tokens.push_back(token);
    tokens.back().special = special_.contains(token.content);
    const auto form = forms_.find(id);
    tokens.back().form = token.normalized && form != forms_.end() ? form->second : token.content;
  }
  return tokens;
}

TokenFinder::TokenFinder(std::vector<AddedToken> tokens, bool skip_special)
    : tokens_(std::move(tokens)), skip_special_(skip_special) {
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const auto& a, const auto& b) { return a.form.size() > b.form.size(); });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    THIMBLE_CHECK(!tokens_[i].form.empty(), tokens_[i].content);
    auto& start = starts_[static_cast<uint8_t>(tokens_[i].form[0])];
    if (start.empty()) ++first_bytes_;
    only_first_byte_ = tokens_[i].form[0];
    start.push_back(static_cast<uint32_t>(i));
  }
}

// The common sets all begin with "[", which is looked for at memchr's speed.
size_t TokenFinder::NextStart(std::string_view text, size_t at) const {
  if (first_bytes_ == 1) return std::min(text.find(only_first_byte_, at), text.size());
  while (at < text.size() && starts_[static_cast<uint8_t>(text[at])].empty()) ++at;
  return at;
}

std::optional<TokenFinder::Found> TokenFinder::Next(std::string_view text, size_t* at, size_t done) const {
  while ((*at = NextStart(text, *at)) < text.size()) {
    const auto& candidates = starts_[static_cast<uint8_t>(text[*at])];
    const auto match = std::find_if(candidates.begin(), candidates.end(), [&](uint32_t candidate) {
      return text.substr(*at).starts_with(tokens_[candidate].form);
    });
    if (match == candidates.end()) {
      ++*at;
      continue;
    }
    const AddedToken& token = tokens_[*match];
    Found found{.id = token.id, .begin = *at, .end = *at + token.form.size()};
    *at = found.end;
    if (skip_special_ && token.special) continue;
    // Inside a word it is no match, and shorter tokens at the same place are not tried.
    if (token.single_word &&
        (EndsWithWord(text.substr(0, found.begin)) || StartsWithWord(text.substr(found.end))))
      continue;
    if (token.lstrip) found.begin = std::max(WithoutTrailingSpace(text.substr(0, found.begin)).size(), done);
    if (token.rstrip) found.end += LeadingSpace(text.substr(found.end));
    return found;
  }
  return std::nullopt;
}

}  // namespace thimble::data
