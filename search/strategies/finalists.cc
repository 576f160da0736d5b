// The best of the stage before: what was told apart cheaply is trained. With controls, its best uniform
// student and its best random one come first, whatever their place.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

class Finalists final : public Strategy {
 public:
  Finalists(const StageSpace& space, StageInput input) : space_(space) {
    std::stable_sort(input.before.begin(), input.before.end(), [](const Trial& a, const Trial& b) {
      return (a.state == TrialState::kComplete ? a.value : -HUGE_VAL) >
             (b.state == TrialState::kComplete ? b.value : -HUGE_VAL);
    });
    if (input.controls)
      for (const char* control : {kUniform, kRandom})
        for (const Trial& trial : input.before)
          if (trial.origin == control && Add(trial)) break;
    for (const Trial& trial : input.before) Add(trial);
  }

  std::vector<proto::Architecture> Suggest(int count) override {
    std::vector<proto::Architecture> suggestions;
    for (; static_cast<int>(suggestions.size()) < count && next_ < finalists_.size(); ++next_)
      suggestions.push_back(finalists_[next_].architecture);
    return suggestions;
  }

  void Observe(const std::vector<Trial>& trials) override {
    observed_ += trials.size();
    next_ = observed_;
  }

  std::string Origin(const proto::Architecture& suggestion) const override {
    const std::string text = models::CanonicalArchitecture(suggestion);
    for (const Trial& trial : finalists_)
      if (models::CanonicalArchitecture(trial.architecture) == text) return trial.origin;
    return "";
  }

 private:
  bool Add(const Trial& trial) {
    const std::string text = models::CanonicalArchitecture(trial.architecture);
    if (trial.state != TrialState::kComplete || !space_.Feasible(trial.architecture) ||
        !known_.insert(text).second)
      return false;
    finalists_.push_back(trial);
    return true;
  }

  const StageSpace& space_;
  std::vector<Trial> finalists_;
  std::unordered_set<std::string> known_;  // canonical forms
  size_t observed_ = 0, next_ = 0;
};

void Check(const proto::Stage& stage, const std::string& where) {
  if (!stage.has_from())
    throw BadRequest(where, "takes the best of the stage before", "no `from`", "from: \"STAGE\"");
}

}  // namespace

StrategyEntry finalists() {
  return {.make = [](const proto::Strategy&, const StageSpace& space, Random, StageInput input)
              -> std::unique_ptr<Strategy> { return std::make_unique<Finalists>(space, std::move(input)); },
          .check = Check,
          .proposes_base = true};
}

}  // namespace thimble::search
