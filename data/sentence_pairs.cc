#include "data/sentence_pairs.h"

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>

#include "base/error.h"

namespace thimble::data {
namespace {

using Tokens = std::vector<int32_t>;

void Add(std::span<const int32_t> ids, Tokens* to) { to->insert(to->end(), ids.begin(), ids.end()); }

// From the longer one, from either end with the same chance, until both fit.
void Truncate(size_t room, Tokens* a, Tokens* b, Random* random) {
  while (a->size() + b->size() > room) {
    Tokens* longer = a->size() > b->size() ? a : b;
    if (random->Chance(0.5)) {
      longer->erase(longer->begin());
    } else {
      longer->pop_back();
    }
  }
}

Example Join(const Tokens& a, const Tokens& b, bool random_next, const PairOptions& options) {
  Example example{.ids = {options.begin}, .label = random_next};
  Add(a, &example.ids);
  example.ids.push_back(options.separator);
  example.segments.assign(example.ids.size(), 0);
  Add(b, &example.ids);
  example.ids.push_back(options.separator);
  example.segments.resize(example.ids.size(), 1);
  return example;
}

}  // namespace

std::vector<std::string_view> Sentences(std::string_view line) {
  static thread_local const std::unique_ptr<icu::BreakIterator> breaks = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> iterator(
        icu::BreakIterator::createSentenceInstance(icu::Locale::getRoot(), status));
    THIMBLE_CHECK(U_SUCCESS(status), u_errorName(status));
    return iterator;
  }();
  UErrorCode status = U_ZERO_ERROR;
  UText text = UTEXT_INITIALIZER;
  utext_openUTF8(&text, line.data(), static_cast<int64_t>(line.size()), &status);
  breaks->setText(&text, status);
  THIMBLE_CHECK(U_SUCCESS(status), u_errorName(status));
  std::vector<std::string_view> sentences;
  int32_t begin = breaks->first();
  for (int32_t end = breaks->next(); end != icu::BreakIterator::DONE; begin = end, end = breaks->next())
    sentences.push_back(line.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  utext_close(&text);
  return sentences;
}

std::vector<Example> MakePairs(const Documents& documents, size_t d, const PairOptions& options,
                               Random random) {
  THIMBLE_CHECK(d < documents.size() && options.max_length >= 8, std::to_string(d));
  const size_t room = static_cast<size_t>(options.max_length) - 3;
  std::vector<Example> pairs;
  const size_t end = documents.starts[d + 1];
  for (size_t chunk = documents.starts[d]; chunk < end;) {
    // Drawn for each pair; the script draws once a document, which of a long one makes all pairs short or
    // none.
    const size_t target = random.Chance(options.short_share) ? 2 + random.Below(room - 1) : room;
    // Sentences until the target is reached.
    size_t next = chunk, length = 0;
    while (next < end && (next == chunk || length < target)) length += documents.sentence(next++).size();
    const size_t count = next - chunk;
    const size_t first_end = count < 2 ? next : chunk + 1 + random.Below(count - 1);
    Tokens a, b;
    for (size_t s = chunk; s < first_end; ++s) Add(documents.sentence(s), &a);
    const bool random_next = count == 1 || random.Chance(0.5);
    if (random_next) {
      size_t other = d;  // of a single document there is no other
      if (documents.size() > 1) {
        other = random.Below(documents.size() - 1);
        other += other >= d;
      }
      const size_t last = documents.starts[other + 1];
      size_t s = documents.starts[other] + random.Below(last - documents.starts[other]);
      const size_t wanted = target > a.size() ? target - a.size() : 1;
      while (s < last && b.size() < wanted) Add(documents.sentence(s++), &b);
      next = first_end;  // what was not used comes again
    } else {
      for (size_t s = first_end; s < next; ++s) Add(documents.sentence(s), &b);
    }
    Truncate(room, &a, &b, &random);
    pairs.push_back(Join(a, b, random_next, options));
    chunk = next;
  }
  return pairs;
}

}  // namespace thimble::data
