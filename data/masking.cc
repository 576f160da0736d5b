#include "data/masking.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "proto/task.pb.h"

namespace thimble::data {

void CheckMasking(const WordPiece& tokenizer, const proto::Masking& masking) {
  if (tokenizer.mask() < 0) throw BadRequest("the vocabulary", "lacks the token [MASK]");
  if (masking.mask() + masking.replace() > 1)
    throw BadRequest("masking", "mask and replace are shares of the same tokens",
                     std::to_string(masking.mask() + masking.replace()), "a sum of at most 1");
}

Masked Mask(const Example& example, const WordPiece& tokenizer, const proto::Masking& masking,
            Random random) {
  CheckMasking(tokenizer, masking);
  std::vector<std::vector<size_t>> units;  // positions that are hidden together
  size_t tokens = 0;
  bool open = false;  // a word that a continuing piece may belong to
  for (size_t i = 0; i < example.ids.size(); ++i) {
    const int32_t id = example.ids[i];
    if (tokenizer.IsSpecial(id)) {
      open = false;
      continue;
    }
    ++tokens;
    if (masking.whole_words() && open && tokenizer.Continues(id)) {
      units.back().push_back(i);
    } else {
      units.push_back({i});
    }
    open = true;
  }
  Masked masked{.ids = example.ids, .targets = std::vector<int32_t>(example.ids.size(), -1)};
  if (units.empty()) return masked;
  const auto wanted =
      std::max<size_t>(1, static_cast<size_t>(std::llround(masking.share() * static_cast<double>(tokens))));
  random.Shuffle(units);
  size_t hidden = 0;
  for (const auto& unit : units) {
    if (hidden == wanted) break;
    if (hidden > 0 && hidden + unit.size() > wanted) continue;
    hidden += unit.size();
    for (const size_t i : unit) {
      masked.targets[i] = example.ids[i];
      const double draw = random.Uniform();
      if (draw < masking.mask()) {
        masked.ids[i] = tokenizer.mask();
      } else if (draw < masking.mask() + masking.replace()) {
        masked.ids[i] = static_cast<int32_t>(random.Below(static_cast<uint64_t>(tokenizer.size())));
      }
    }
    if (hidden > wanted) break;
  }
  return masked;
}

}  // namespace thimble::data
