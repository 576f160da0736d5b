#include "search/controller.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <sstream>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/random.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "search/closing.h"
#include "search/controls.h"
#include "search/evaluator.h"
#include "search/search_view.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr char kFinishedFact[] = "finished", kExplanationFact[] = "explanation", kControlsFact[] = "controls",
               kDamagesFact[] = "damages of width ";

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

const StoredTrial* BestOf(const std::vector<StoredTrial>& trials,
                          const std::function<bool(const StoredTrial&)>& is) {
  const StoredTrial* best = nullptr;
  for (const auto& trial : trials)
    if (trial.trial.state == TrialState::kComplete && is(trial) &&
        (best == nullptr || trial.trial.value > best->trial.value))
      best = &trial;
  return best;
}

// Index of the best one that the search has found.
int Best(const std::vector<StoredTrial>& trials) {
  const StoredTrial* best =
      BestOf(trials, [](const StoredTrial& trial) { return trial.trial.origin != kReady; });
  return best == nullptr ? -1 : static_cast<int>(best - trials.data());
}

int Evaluated(const std::vector<StoredTrial>& trials) {
  return static_cast<int>(std::count_if(trials.begin(), trials.end(), [](const StoredTrial& stored) {
    return stored.trial.state != TrialState::kPruned;
  }));
}

std::string BestText(const std::vector<StoredTrial>& trials) {
  const int best = Best(trials);
  if (best < 0) return "none could be scored";
  std::ostringstream text;
  text.precision(6);
  text << "best " << trials[best].trial.value;
  if (trials[best].trial.standard_error > 0)
    text << " (standard error " << trials[best].trial.standard_error << ")";
  return text.str();
}

// "never converged (3 candidates); no memory (1 candidate)", the most frequent first.
std::string Reasons(const std::vector<StoredTrial>& trials) {
  std::map<std::string, int> counts;
  for (const auto& stored : trials)
    if (stored.trial.state == TrialState::kFail)
      ++counts[stored.reason.empty() ? "no reason given" : stored.reason];
  std::vector<std::pair<int, std::string>> sorted;
  for (const auto& [reason, count] : counts) sorted.emplace_back(-count, reason);
  std::sort(sorted.begin(), sorted.end());
  std::string text;
  for (size_t i = 0; i < sorted.size() && i < 5; ++i)
    text += (i ? "; " : "") + sorted[i].second + " (" + std::to_string(-sorted[i].first) +
            (sorted[i].first == -1 ? " candidate)" : " candidates)");
  return text;
}

class StageRun {
 public:
  // `before`: the result of the stage that this one comes `from`; nullptr without.
  StageRun(const proto::Study& study, int index, const StageResult* before, const SpaceContext& context,
           Store* store, Scorer* scorer, SearchView* view)
      : view_(view),
        study_(study),
        index_(index),
        stage_(study.stage(index)),
        before_(before),
        context_(context),
        name_(stage_.name()),
        store_(store),
        scorer_(scorer),
        id_(store->OpenStage(name_)) {
    CheckSameStudy(study, index, scorer->Inputs(), id_, store);
    stored_ = store->Trials(id_);
    const auto closing = std::find_if(stored_.begin(), stored_.end(), IsClosing);
    closing_.assign(closing, stored_.end());
    stored_.erase(closing, stored_.end());
    if (store->Fact(id_, kFinishedFact)) {
      finished_ = true;
      return;
    }
    const auto base = before == nullptr ? SeedArchitecture(study.space(), context)
                                        : before->trials[before->best].trial.architecture;
    space_ = std::make_unique<StageSpace>(study, stage_, base, context);
    // Decided where the first stage begins: a study that earlier versions began has none.
    if (index == 0 && stored_.empty() && study.controls()) store->SetFact(id_, kControlsFact, "yes");
    controls_ = TrainsControls(study, index) &&
                store->Fact(store->OpenStage(study.stage(0).name()), kControlsFact).has_value();
    StageInput input{.controls = study.controls(), .damages = [this](int hidden) { return Damages(hidden); }};
    if (before != nullptr)
      for (const auto& stored : before->trials)
        if (stored.trial.origin != kReady) input.before.push_back(stored.trial);
    strategy_ =
        MakeStrategy(stage_.strategy(), *space_, Random(study.seed()).Fork("stage", index), std::move(input));
  }

  StageResult Run() {
    if (!finished_) {
      RunRounds();
      Close();
      if (const std::string text = strategy_->Explain(); !text.empty())
        store_->SetFact(id_, kExplanationFact, text);
    }
    StageResult result{stage_.name(), Folded(store_->Trials(id_))};
    result.explanation = store_->Fact(id_, kExplanationFact).value_or("");
    result.best = Best(result.trials);
    if (result.best < 0) {
      const std::string reasons = Reasons(result.trials);
      throw WorkFailed("stage " + Quoted(name_), reasons.empty()
                                                     ? "no candidate satisfies the constraints"
                                                     : "no candidate could be scored: " + reasons);
    }
    if (!finished_) store_->SetFact(id_, kFinishedFact, end_);
    result.end = store_->Fact(id_, kFinishedFact).value_or("");
    Info("stage " + Quoted(name_) + (finished_ ? " was finished before: " : " is finished: ") +
         std::to_string(Evaluated(result.trials)) + " candidates evaluated, " + BestText(result.trials));
    return result;
  }

 private:
  // Worked out once, then read: a resumed stage proposes the same.
  CutDamages Damages(int hidden) {
    const std::string key = kDamagesFact + std::to_string(hidden);
    if (const auto kept = store_->Fact(id_, key)) {
      const auto json = nlohmann::json::parse(*kept);
      return {json.at("heads"), json.at("neurons"), json.at("neuron_step")};
    }
    const CutDamages damages = scorer_->Damages(hidden);
    const nlohmann::json json = {
        {"heads", damages.heads}, {"neurons", damages.neurons}, {"neuron_step", damages.neuron_step}};
    store_->SetFact(id_, key, json.dump());
    return damages;
  }

  // What a stage begins with, each with its origin: what it starts from, so that it cannot end below it, and
  // the controls.
  std::vector<std::pair<proto::Architecture, std::string>> Opening() const {
    std::vector<std::pair<proto::Architecture, std::string>> opening;
    if (before_ != nullptr && space_->Feasible(space_->base()))
      opening.emplace_back(space_->base(), before_->trials[before_->best].trial.origin);
    if (!controls_) return opening;
    for (const auto& [architecture, origin] : Controls(study_, stage_, context_)) {
      const auto same = [&, text = models::CanonicalArchitecture(architecture)](const auto& known) {
        return models::CanonicalArchitecture(known.first) == text;
      };
      if (std::none_of(opening.begin(), opening.end(), same)) opening.emplace_back(architecture, origin);
    }
    return opening;
  }

  void RunRounds() {
    if (!stored_.empty())
      Info("stage " + Quoted(name_) + " goes on after " + std::to_string(Evaluated(stored_)) + " candidates");
    end_ = "all trials evaluated";
    int evaluated = 0;
    size_t replayed = 0;
    int rounds = 0;  // the strategy's
    for (int round = 0; evaluated < stage_.trials(); ++round) {
      const bool replay = replayed < stored_.size();
      if (!replay) PrepareOnce();
      const auto first =
          round == 0 && !EntryOf(stage_.strategy()).proposes_base ? Opening() : decltype(Opening()){};
      const bool opening = !first.empty();
      const int number = opening ? -1 : rounds++;
      const int wanted = opening ? static_cast<int>(first.size())
                                 : std::min(RoundSize(stage_, number), stage_.trials() - evaluated);
      std::vector<proto::Architecture> proposals;
      std::vector<std::string> origins;
      if (opening)
        for (const auto& [architecture, origin] : first)
          proposals.push_back(architecture), origins.push_back(origin);
      else
        proposals = strategy_->Suggest(ProposalsFor(wanted));
      for (size_t i = origins.size(); i < proposals.size(); ++i)
        origins.push_back(strategy_->Origin(proposals[i]));
      if (proposals.empty()) {
        end_ = "no more candidates";
        Info("stage " + Quoted(name_) + " ends after " + std::to_string(evaluated) + " of " +
             std::to_string(stage_.trials()) + " trials: there is no further candidate");
        break;
      }
      if (!replay) view_->Update(evaluated, std::min(wanted, static_cast<int>(proposals.size())), stored_);
      const bool known = opening && before_ != nullptr && !controls_ && ScoredAlike();
      auto trials = replay  ? Replay(round, wanted, proposals, replayed)
                    : known ? CarryOver()
                            : Evaluate(round, wanted, proposals, origins, static_cast<int>(replayed), number);
      for (size_t i = 0; i < trials.size(); ++i) trials[i].trial.origin = origins[i];
      replayed += trials.size();
      // Controls are beside the trials, and so is what was scored before.
      if (!known) evaluated += opening && controls_ ? before_ != nullptr : Evaluated(trials);
      std::vector<Trial> observed;
      for (const auto& stored : trials) observed.push_back(stored.trial);
      strategy_->Observe(observed);
      if (replay) continue;
      store_->AppendRound(id_, trials, stage_, study_.space());
      stored_.insert(stored_.end(), trials.begin(), trials.end());
      view_->Update(evaluated, 0, stored_);
      Info("stage " + Quoted(name_) + ": " + std::to_string(evaluated) + " of " +
           std::to_string(stage_.trials()) + " candidates evaluated, " + BestText(stored_));
    }
    if (replayed < stored_.size())
      throw NotReplayed(static_cast<int>(replayed), "it is beyond the stage's end");
  }

  // The base's score is known already if the stage before scored it in the same way.
  bool ScoredAlike() const {
    const auto& stages = study_.stage();
    const auto from = std::find_if(stages.begin(), stages.end(),
                                   [&](const proto::Stage& stage) { return stage.name() == before_->name; });
    return !EntryOf(stage_.evaluator()).belongs_to_its_stage &&
           CanonicalText(from->evaluator()) == CanonicalText(stage_.evaluator());
  }

  std::vector<StoredTrial> CarryOver() const {
    auto stored = before_->trials[before_->best];
    stored.number = stored.round = 0;
    stored.seconds = 0;
    return {stored};
  }

  // Between rounds: the place to stop, and the first time the place where expensive preparation starts.
  void PrepareOnce() {
    if (InterruptRequested()) throw Interrupted();
    if (prepared_) return;
    scorer_->Prepare(stage_, *space_);
    prepared_ = true;
    if (InterruptRequested()) throw Interrupted();
  }

  int ProposalsFor(int wanted) const {
    if (!stage_.has_filter()) return wanted;
    // The small subtraction keeps 3 / 0.3, which is a little above 10, from becoming 11.
    return static_cast<int>(std::ceil(wanted / stage_.filter().keep() - 1e-9));
  }

  StoredTrial Start(int number, int round, const proto::Architecture& architecture) const {
    StoredTrial stored{.number = number, .round = round};
    stored.trial = {.architecture = architecture, .state = TrialState::kPruned, .value = kNaN};
    stored.deployed_parameters =
        models::DeployedParameters(models::Resolve(architecture), context_.classes, context_.head);
    stored.filter_score = kNaN;
    return stored;
  }

  // Marks all but the best `wanted` as pruned. Order of preference: score, then order of proposal; NaN comes
  // last.
  std::vector<int> Chosen(const std::vector<proto::Architecture>& proposals, int wanted,
                          std::vector<StoredTrial>* trials) {
    std::vector<int> order(proposals.size());
    std::iota(order.begin(), order.end(), 0);
    if (stage_.has_filter() && proposals.size() > static_cast<size_t>(wanted)) {
      const auto scores = scorer_->Filter(stage_, proposals);
      THIMBLE_CHECK(scores.size() == proposals.size(), std::to_string(scores.size()) + " filter scores");
      for (size_t i = 0; i < scores.size(); ++i) (*trials)[i].filter_score = scores[i];
      const auto rank = [&](int i) {
        return std::isnan(scores[i]) ? -std::numeric_limits<double>::infinity() : scores[i];
      };
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return rank(a) > rank(b); });
      if (order.size() > static_cast<size_t>(wanted)) order.resize(wanted);
      std::sort(order.begin(), order.end());
    }
    return order;
  }

  // `number`: of the strategy's rounds.
  std::vector<StoredTrial> Evaluate(int round, int wanted, const std::vector<proto::Architecture>& proposals,
                                    const std::vector<std::string>& origins, int first_number, int number) {
    std::vector<StoredTrial> trials;
    for (const auto& architecture : proposals)
      trials.push_back(Start(first_number + static_cast<int>(trials.size()), round, architecture));
    const auto chosen = Chosen(proposals, wanted, &trials);
    Round together{.number = number};
    std::set<std::string> kinds;  // the first of each is enough
    for (const int i : chosen) {
      const bool control = study_.controls() && IsControl(origins[i]);
      together.candidates.push_back(
          {.architecture = proposals[i], .control = control && kinds.insert(origins[i]).second});
    }
    Score(together, chosen, &trials);
    return trials;
  }

  // Scores the round and notes it of the trials at `chosen`, in the same order.
  void Score(const Round& round, const std::vector<int>& chosen, std::vector<StoredTrial>* trials) {
    const auto scores = scorer_->Evaluate(stage_, round);
    THIMBLE_CHECK(scores.size() == round.candidates.size(), std::to_string(scores.size()) + " scores");
    for (size_t k = 0; k < chosen.size(); ++k) {
      auto& stored = (*trials)[chosen[k]];
      const bool failed = std::isnan(scores[k].value);
      stored.trial.state = failed                     ? TrialState::kFail
                           : scores[k].left_after > 0 ? TrialState::kLeft
                                                      : TrialState::kComplete;
      stored.trial.value = scores[k].value;
      stored.trial.standard_error = failed ? 0 : scores[k].standard_error;
      stored.rows = scores[k].rows;
      stored.metrics = scores[k].metrics;
      stored.epochs = scores[k].epochs;
      stored.reason = scores[k].reason;
      stored.seconds = scores[k].seconds;
      if (stored.trial.state == TrialState::kLeft) stored.left_after = scores[k].left_after;
    }
  }

  // search/closing.h. Each part is a round of its own, which a kill leaves whole or absent.
  void Close() {
    const auto first = [&] { return static_cast<int>(stored_.size() + closing_.size()); };
    const auto round = [&] {
      return stored_.empty() ? 0 : stored_.back().round + 1 + static_cast<int>(!closing_.empty());
    };
    const auto run = [&](std::vector<StoredTrial> trials, const Round& together) {
      PrepareOnce();
      std::vector<int> all(trials.size());
      std::iota(all.begin(), all.end(), 0);
      Score(together, all, &trials);
      store_->AppendRound(id_, trials, stage_, study_.space());
      closing_.insert(closing_.end(), trials.begin(), trials.end());
    };
    if (TrainsReady(study_, index_) && closing_.empty()) {
      const auto ready = scorer_->Ready();
      THIMBLE_CHECK(ready.has_value(), "no ready checkpoint");
      Info("stage " + Quoted(name_) + ": the ready checkpoint");
      auto trial = Start(first(), round(), *ready);
      trial.trial.origin = kReady;
      run({trial}, {.candidates = {{.architecture = *ready, .control = true, .ready = true}}});
    }
    if (stage_.again() == 0 || std::any_of(closing_.begin(), closing_.end(),
                                           [](const StoredTrial& trial) { return trial.again_of >= 0; }))
      return;
    auto all = stored_;
    all.insert(all.end(), closing_.begin(), closing_.end());
    const auto close = CannotBeTold(all, stage_.again());
    if (close.empty()) return;
    Info("stage " + Quoted(name_) + ": " + std::to_string(close.size()) +
         " candidates cannot be told apart and are trained once more");
    std::vector<StoredTrial> trials;
    Round together{.repeat = 1};
    for (const StoredTrial* trial : close) {
      trials.push_back(Start(first() + static_cast<int>(trials.size()), round(), trial->trial.architecture));
      trials.back().trial.origin = trial->trial.origin;
      trials.back().again_of = trial->number;
      together.candidates.push_back({.architecture = trial->trial.architecture,
                                     .control = true,
                                     .ready = trial->trial.origin == kReady});
    }
    run(std::move(trials), together);
  }

  // The stored round, with the strategy's own messages: what it observes is then the same to the bit as
  // without a stop.
  std::vector<StoredTrial> Replay(int round, int wanted, const std::vector<proto::Architecture>& proposals,
                                  size_t first) const {
    std::vector<StoredTrial> trials;
    for (size_t i = 0; i < proposals.size(); ++i) {
      const int number = static_cast<int>(first + i);
      if (first + i >= stored_.size()) throw NotReplayed(number, "it is missing");
      auto stored = stored_[first + i];
      if (stored.round != round) throw NotReplayed(number, "it is of round " + std::to_string(stored.round));
      if (CanonicalText(stored.trial.architecture) != CanonicalText(proposals[i]))
        throw NotReplayed(number, "its architecture is not what the strategy proposes");
      stored.trial.architecture = proposals[i];
      trials.push_back(std::move(stored));
    }
    const int expected = std::min(wanted, static_cast<int>(proposals.size()));
    if (Evaluated(trials) != expected)
      throw NotReplayed(static_cast<int>(first), "its round has " + std::to_string(Evaluated(trials)) +
                                                     " evaluated candidates instead of " +
                                                     std::to_string(expected));
    return trials;
  }

  // The study file is the same (CheckSameStudy), so the store was edited, or the program proposes differently
  // than before.
  Error NotReplayed(int number, const std::string& problem) const {
    return BadRequest("stage " + Quoted(name_),
                      "cannot go on from the stored trials: trial " + std::to_string(number) +
                          " does not fit, " + problem +
                          "; the store was edited or comes from another version of thimble",
                      "", "a new directory");
  }

  SearchView* view_;
  const proto::Study& study_;
  int index_;
  const proto::Stage& stage_;
  const StageResult* before_;
  SpaceContext context_;
  std::string name_;
  bool controls_ = false;
  Store* store_;
  Scorer* scorer_;
  int id_;
  bool finished_ = false, prepared_ = false;
  std::string end_;                            // why the stage ended, kept as a fact
  std::vector<StoredTrial> stored_, closing_;  // of the strategy's rounds; behind them
  std::unique_ptr<StageSpace> space_;
  std::unique_ptr<Strategy> strategy_;
};

const StageResult* Before(const proto::Stage& stage, const std::vector<StageResult>& results) {
  if (!stage.has_from()) return nullptr;
  for (const auto& result : results)
    if (result.name == stage.from()) return &result;
  THIMBLE_CHECK(false, "stage " + stage.from() + " has no result");
  return nullptr;
}

}  // namespace

std::vector<StageResult> RunStudy(const proto::Study& study, const SpaceContext& context, Store* store,
                                  Scorer* scorer, const std::string& teacher) {
  ValidateStudy(study, context, "");
  std::vector<StageResult> all;
  const auto studies = TargetStudies(study);
  SearchView view(static_cast<int>(studies.size()) * study.stage_size(), teacher);
  for (size_t target = 0; target < studies.size(); ++target) {
    const auto& one = studies[target];
    std::vector<StageResult> results;
    for (int i = 0; i < one.stage_size(); ++i) {
      const auto* before = Before(one.stage(i), results);
      const std::string name =
          study.target().empty() ? "" : TargetName(study.target(static_cast<int>(target)));
      view.Begin(one.stage(i).name(), name, one.stage(i).trials());
      results.push_back(StageRun(one, i, before, context, store, scorer, &view).Run());
      results.back().target = name;
    }
    all.insert(all.end(), results.begin(), results.end());
  }
  return all;
}

std::vector<StageResult> ReadStudy(const proto::Study& study, Store* store) {
  std::vector<StageResult> results;
  const auto studies = TargetStudies(study);
  for (size_t target = 0; target < studies.size(); ++target)
    for (const auto& stage : studies[target].stage()) {
      StageResult result{stage.name()};
      if (const auto id = store->FindStage(stage.name())) {
        result.trials = Folded(store->Trials(*id));
        result.explanation = store->Fact(*id, kExplanationFact).value_or("");
        result.end = store->Fact(*id, kFinishedFact).value_or("");
      }
      result.best = Best(result.trials);
      if (!study.target().empty()) result.target = TargetName(study.target(static_cast<int>(target)));
      results.push_back(std::move(result));
    }
  return results;
}

const StoredTrial* BestTrial(const StageResult& stage, const std::function<bool(const StoredTrial&)>& is) {
  return BestOf(stage.trials, is);
}

std::vector<std::vector<StageResult>> ByTarget(const std::vector<StageResult>& results) {
  std::vector<std::vector<StageResult>> all;
  for (const auto& stage : results) {
    if (all.empty() || all.back().back().target != stage.target) all.emplace_back();
    all.back().push_back(stage);
  }
  return all;
}

}  // namespace thimble::search
