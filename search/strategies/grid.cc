// Every point of the stage, once. The order goes by steps of the golden section of their number: however many
// are evaluated, they lie evenly among all (the three-distance theorem; Sos, 1958). Steps of the points over
// the trials would leave those layers as they are that vary fastest.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

// Places in the order; where there are more points, each place stands for the first of several. Doubles count
// exactly to here.
constexpr double kMostPlaces = 0x1p53;
constexpr double kGolden = 0.6180339887498949;

class Grid final : public Strategy {
 public:
  Grid(const StageSpace& space, Random random)
      : novelty_(space, random), places_(static_cast<uint64_t>(std::min(space.Points(), kMostPlaces))) {
    THIMBLE_CHECK(places_ > 0, "a stage whose points cannot be counted");
    step_ = std::max<uint64_t>(1, std::llround(kGolden * static_cast<double>(places_)));
    while (std::gcd(step_, places_) != 1) ++step_;  // then each place comes once
  }

  std::vector<proto::Architecture> Suggest(int count) override {
    for (; observed_ < places_; ++observed_)
      if (const auto point = At(observed_); novelty_.space().Feasible(point) && !novelty_.Observed(point))
        break;
    std::vector<proto::Architecture> suggestions;
    for (next_ = std::max(next_, observed_); static_cast<int>(suggestions.size()) < count && next_ < places_;
         ++next_) {
      auto point = At(next_);
      if (novelty_.space().Feasible(point) && novelty_.Claim(point)) suggestions.push_back(std::move(point));
    }
    return suggestions;
  }

  void Observe(const std::vector<Trial>& trials) override {
    novelty_.Observe(trials);
    if (!trials.empty()) next_ = 0;
  }

 private:
  proto::Architecture At(uint64_t i) const {
    const auto place = static_cast<uint64_t>(static_cast<unsigned __int128>(i) * step_ % places_);
    return novelty_.space().Point(
        std::floor(static_cast<double>(place) * (novelty_.space().Points() / static_cast<double>(places_))));
  }

  Novelty novelty_;
  uint64_t places_, step_ = 1;
  uint64_t observed_ = 0;  // all before have been, or are not feasible
  uint64_t next_ = 0;
};

void Check(const proto::Stage& stage, const std::string& where) {
  if (std::find(stage.vary().begin(), stage.vary().end(), proto::Stage::EXPRESSION) != stage.vary().end())
    throw BadRequest(where, "goes through every point, and expressions cannot be counted", "vary: EXPRESSION",
                     "what can be listed, or another strategy");
}

}  // namespace

StrategyEntry grid() {
  return {
      .make = [](const proto::Strategy&, const StageSpace& space, Random random,
                 StageInput) -> std::unique_ptr<Strategy> { return std::make_unique<Grid>(space, random); },
      .check = Check,
      .lists_points = true};
}

}  // namespace thimble::search
