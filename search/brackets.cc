#include "search/brackets.h"

#include <algorithm>
#include <cmath>

namespace thimble::search {
namespace {

constexpr double kRounding = 1e-9;  // keeps log 9 / log 3 at 2 and 0.7 * 10 at 7

}  // namespace

Bracket BracketOf(const proto::Hyperband& hyperband, int round) {
  const double most = hyperband.epochs(), eta = hyperband.reduction();
  const int last = static_cast<int>(std::log(most) / std::log(eta) + kRounding);
  const int s = last - round % (last + 1);
  Bracket bracket{.candidates =
                      static_cast<int>(std::ceil((last + 1.0) / (s + 1) * std::pow(eta, s) - kRounding))};
  for (int i = s; i > 0; --i) {
    const int epochs = std::max(1, static_cast<int>(std::lround(most * std::pow(eta, -i))));
    if (epochs < most && (bracket.rungs.empty() || bracket.rungs.back() < epochs))
      bracket.rungs.push_back(epochs);
  }
  return bracket;
}

int CandidatesOfBracket(const proto::Stage& stage, int round) {
  return BracketOf(stage.evaluator().hyperband(), round).candidates;
}

std::vector<size_t> Leaving(const std::vector<double>& scores, const std::vector<bool>& controls,
                            const std::function<double(double count)>& stay) {
  std::vector<size_t> order;
  for (size_t i = 0; i < scores.size(); ++i)
    if (!controls[i] || std::isnan(scores[i])) order.push_back(i);
  const auto scored =
      std::stable_partition(order.begin(), order.end(), [&](size_t i) { return !std::isnan(scores[i]); });
  std::stable_sort(order.begin(), scored, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto count = scored - order.begin();
  return {order.begin() +
              std::clamp<std::ptrdiff_t>(
                  static_cast<std::ptrdiff_t>(stay(static_cast<double>(count)) + kRounding), 0, count),
          order.end()};
}

}  // namespace thimble::search
