#include "search/strategy.h"

#include <algorithm>

#include "base/catalogue.h"
#include "base/config.h"
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

bool Novelty::Observed(const proto::Architecture& architecture) const {
  return seen_.count(models::CanonicalArchitecture(architecture)) > 0;
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

std::vector<proto::Architecture> Novelty::Propose(
    int count, const std::function<std::optional<proto::Architecture>()>& own) {
  std::vector<proto::Architecture> proposals;
  while (static_cast<int>(proposals.size()) < count) {
    std::optional<proto::Architecture> candidate;
    if (own) candidate = own();
    if (!candidate) candidate = Sample();
    if (!candidate) break;
    proposals.push_back(std::move(*candidate));
  }
  return proposals;
}

const std::vector<StrategyEntry>& Strategies() {
  static const std::vector<StrategyEntry> entries = [] {
    std::vector<StrategyEntry> list;
#define STRATEGY(kind)            \
  list.push_back(search::kind()); \
  list.back().name = #kind;
#include "search/strategies.inc"
#undef STRATEGY
    return list;
  }();
  return entries;
}

const StrategyEntry& EntryOf(const proto::Strategy& spec) {
  if (KindField(spec) != nullptr) return EntryIn(Strategies(), spec);
  const auto& all = Strategies();
  return *std::find_if(all.begin(), all.end(), [](const StrategyEntry& entry) { return entry.by_default; });
}

std::unique_ptr<Strategy> MakeStrategy(const proto::Strategy& spec, const StageSpace& space, Random random,
                                       StageInput input) {
  return EntryOf(spec).make(spec, space, random, std::move(input));
}

}  // namespace thimble::search
