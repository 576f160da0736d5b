// Who goes on in a round that is trained side by side: successive halving (Jamieson and Talwalkar, AISTATS
// 2016) and the brackets of Hyperband (Li et al., JMLR 2018). Pure.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "proto/study.pb.h"

namespace thimble::search {

// A round of Hyperband, algorithm 1. R: epochs, eta: reduction, s_max = floor(log_eta R).
struct Bracket {
  int candidates = 0;  // n = ceil((s_max + 1) / (s + 1) eta^s)
  std::vector<int>
      rungs;  // epochs after which one in eta goes on: R eta^-s, R eta^(1-s), ..., below R, rounded, rising
};
// Number `round`, from 0: s = s_max, s_max - 1, ..., 0, then s_max again.
Bracket BracketOf(const proto::Hyperband& hyperband, int round);
int CandidatesOfBracket(const proto::Stage& stage, int round);  // EvaluatorEntry::round

// Positions of those that leave, of members with these scores (NaN: it has none): all without a score, and of
// the others all but the best stay(count), of equal ones the first; `count` is how many have one. Controls
// with a score stay beside them.
std::vector<size_t> Leaving(const std::vector<double>& scores, const std::vector<bool>& controls,
                            const std::function<double(double count)>& stay);

}  // namespace thimble::search
