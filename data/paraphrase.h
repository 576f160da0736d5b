// What models call the classes of tasks that ask whether two texts say the same: 0 no, 1 yes.
#pragma once
#include <string>
#include <vector>

namespace thimble::data {

inline const std::vector<std::vector<std::string>> kParaphraseNames = {
    {"not_equivalent", "non_equivalent", "inequivalent", "not_paraphrase", "non_paraphrase", "no_paraphrase",
     "not_duplicate", "non_duplicate", "no_duplicate", "different", "false", "no", "negative"},
    {"equivalent", "paraphrase", "duplicate", "is_duplicate", "same", "true", "yes", "positive"}};

}  // namespace thimble::data
