// Pairs of runs of sentences, as BERT is pre-trained on. Devlin et al., NAACL 2019, section 3.1 and
// create_pretraining_data.py; without masks, as the distillation of EfficientBERT reads them.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "data/dataset.h"

namespace thimble::data {

// Where sentences end in a line of text, by the rules of Unicode (UAX 29).
std::vector<std::string_view> Sentences(std::string_view line);

// Tokenized sentences of all documents, by number; none is empty.
struct Documents {
  std::vector<size_t> starts;  // the first sentence of each, and one past the last of all
  std::function<std::span<const int32_t>(size_t sentence)> sentence;
  size_t size() const { return starts.size() - 1; }
};

struct PairOptions {
  int max_length = 128;
  double short_share = 0.1;  // of the pairs that are aimed at a random shorter length
  int32_t begin = 0, separator = 0;
};

// The pairs of document `d`; a pure function of its arguments. label: 0 where the second follows the first, 1
// where it is from a random place in another document (half of them; all where there is no second sentence).
std::vector<Example> MakePairs(const Documents& documents, size_t d, const PairOptions& options,
                               Random random);

}  // namespace thimble::data
