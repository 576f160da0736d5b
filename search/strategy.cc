#include "search/strategy.h"

#include "base/config.h"
#include "base/error.h"
#include "models/arch/architecture.h"

namespace thimble::search {

#define STRATEGY(name) StrategyEntry name();
#include "search/strategies.inc"
#undef STRATEGY

namespace {

constexpr int kTries = 2000;
constexpr double kMostEnumerated = 100'000;

}  // namespace

Novelty::Novelty(const StageSpace& space, Random seed)
    : space_(space), seed_(seed), random_(seed.Fork("after", 0)) {}

void Novelty::Observe(const std::vector<Trial>& trials) {
  if (trials.empty()) return;
  for (const Trial& trial : trials) seen_.insert(models::CanonicalArchitecture(trial.architecture));
  observed_ += trials.size();
  random_ = seed_.Fork("after", observed_);
  suggested_.clear();
}

bool Novelty::Claim(const proto::Architecture& architecture) {
  std::string canonical = models::CanonicalArchitecture(architecture);
  return seen_.count(canonical) == 0 && suggested_.insert(std::move(canonical)).second;
}

std::optional<proto::Architecture> Novelty::Sample() {
  const double points = space_.Points();
  const bool enumerable = points > 0 && points <= kMostEnumerated;
  for (int i = 0; i < (enumerable ? kTries / 20 : kTries); ++i)
    if (auto candidate = space_.Sample(&random_); candidate && Claim(*candidate)) return candidate;
  if (!enumerable || static_cast<double>(seen_.size() + suggested_.size()) >= points) return std::nullopt;
  const auto count = static_cast<uint64_t>(points), start = random_.Below(count);
  for (uint64_t i = 0; i < count; ++i) {
    auto candidate = space_.Point(static_cast<double>((start + i) % count));
    if (Claim(candidate)) return candidate;
  }
  return std::nullopt;
}

const std::vector<StrategyEntry>& Strategies() {
  static const std::vector<StrategyEntry> entries = {
#define STRATEGY(name) name(),
#include "search/strategies.inc"
#undef STRATEGY
  };
  return entries;
}

std::unique_ptr<Strategy> MakeStrategy(const proto::Strategy& spec, const StageSpace& space, Random random) {
  const auto* kind = KindField(spec);
  const std::string name = kind == nullptr ? "random" : kind->name();
  for (const StrategyEntry& entry : Strategies())
    if (entry.name == name) return entry.make(spec, space, random);
  THIMBLE_CHECK(false, "strategy " + name + " stands in proto/study.proto but not in search/strategies.inc");
  return nullptr;
}

}  // namespace thimble::search
