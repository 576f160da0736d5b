// Cross-field rules of a study.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "search/controller.h"
#include "search/evaluator.h"
#include "search/space.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr int kMostProposals = 1000000;  // of one round, before its filter

// "study.textproto: stage[1].from", as the field checks write it.
std::string At(const std::string& where, const std::string& path) {
  return where.empty() ? path : where + ": " + path;
}

void CheckName(const std::string& name, const std::string& at) {
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
      std::string::npos;
  if (name.empty() || name.size() > 64 || !plain)
    throw BadRequest(at, "a stage's name becomes part of file names", "\"" + name + "\"",
                     "1 to 64 letters, digits, - or _");
}

void CheckFrom(const proto::Study& study, int index, const std::string& at) {
  const auto& from = study.stage(index).from();
  std::string earlier;
  for (int i = 0; i < study.stage_size(); ++i) {
    if (i < index) earlier += (i ? ", " : "") + study.stage(i).name();
    if (study.stage(i).name() != from) continue;
    if (i < index) return;
    throw BadRequest(at, i == index ? "a stage cannot start from itself" : "names a stage that comes later",
                     "\"" + from + "\"", earlier.empty() ? "nothing, in the first stage" : earlier);
  }
  throw BadRequest(at, "no stage has this name", "\"" + from + "\"",
                   earlier.empty() ? "nothing, in the first stage" : earlier);
}

// Whether the space, or any layer of it, offers more than one value of something the stage varies.
// Expressions always do.
bool VariesSomething(const proto::Stage& stage, const proto::Space& space) {
  const int depth = *std::max_element(space.layers().begin(), space.layers().end());
  for (const int what : stage.vary()) {
    if (what == proto::Stage::EXPRESSION) return true;
    if (what == proto::Stage::HIDDEN && space.hidden_size() > 1) return true;
    if (what == proto::Stage::LAYERS && space.layers_size() > 1) return true;
    if (what == proto::Stage::EMBEDDING && space.embedding_size() > 1) return true;
    for (int i = 0; i < depth; ++i) {
      const auto choices = LayerChoices(space, i);
      const int values = what == proto::Stage::STACKS ? choices.ffn().stacks_size()
                         : what == proto::Stage::RATIO
                             ? choices.ffn().ratio_size() + choices.ffn().width_size()
                         : what == proto::Stage::MIXER ? choices.mixer_size()
                         : what == proto::Stage::FORM  ? choices.ffn().form_size()
                                                       : 1;
      if (values > 1) return true;
    }
  }
  return false;
}

void CheckVary(const proto::Stage& stage, const proto::Space& space, const std::string& at) {
  if (stage.vary().empty())
    throw BadRequest(at, "a stage varies something", "",
                     "EXPRESSION, STACKS, RATIO or WIDTH, FORM, MIXER or HEADS, HIDDEN, LAYERS, EMBEDDING");
  for (int i = 0; i < stage.vary_size(); ++i)
    if (std::find(stage.vary().begin(), stage.vary().begin() + i, stage.vary(i)) != stage.vary().begin() + i)
      throw BadRequest(at + "[" + std::to_string(i) + "]", "named twice",
                       proto::Stage::Vary_Name(stage.vary(i)));
  if (!VariesSomething(stage, space))
    throw BadRequest(at, "the space has a single value for everything this stage varies");
}

// Of the study that a target makes as well.
void CheckConstraints(const proto::Study& study, const SpaceContext& context, const std::string& where) {
  LimitsOf(study, context);
  std::set<std::string> names;
  for (int i = 0; i < study.target_size(); ++i) {
    const std::string at = At(where, "target[" + std::to_string(i) + "]"), name = TargetName(study.target(i));
    if (!names.insert(name).second)
      throw BadRequest(at, "another target has the same name", name, "each target once");
    LimitsOf(OfTarget(study, i), context);
  }
}

void CheckStage(const proto::Study& study, int index, const SpaceContext& context, const std::string& where) {
  const auto& stage = study.stage(index);
  const std::string path = "stage[" + std::to_string(index) + "]";
  const auto at = [&](const std::string& field) { return At(where, path + field); };
  CheckName(stage.name(), at(".name"));
  for (int i = 0; i < index; ++i)
    if (study.stage(i).name() == stage.name())
      throw BadRequest(at(".name"), "stage " + std::to_string(i) + " has the same name",
                       "\"" + stage.name() + "\"");
  CheckVary(stage, study.space(), at(".vary"));
  if (stage.has_from()) CheckFrom(study, index, at(".from"));
  if (stage.has_filter()) {
    const FilterEntry& filter = EntryOf(stage.filter());
    if (filter.needs_sliced) RequireSliced(study, at(".filter." + filter.name), "no filter");
    if (filter.check != nullptr) filter.check(study, stage, context, at(".filter." + filter.name));
  }
  const EvaluatorEntry& evaluator = EntryOf(stage.evaluator());
  if (evaluator.needs_sliced)
    RequireSliced(study, at(".evaluator." + evaluator.name), "an evaluator that trains");
  if (evaluator.check != nullptr) evaluator.check(study, stage, context, at(".evaluator." + evaluator.name));
  if (evaluator.one_section && HasForms(study.space()))
    throw BadRequest(
        at(".evaluator." + evaluator.name),
        "one supernet holds the candidates of this stage, and of blocks only dense ones of expressions",
        "forms in the space", "another evaluator, or a space without `form`");
  if (evaluator.one_section)
    for (const auto& [what, values] : {std::pair(proto::Stage::HIDDEN, study.space().hidden_size()),
                                       {proto::Stage::LAYERS, study.space().layers_size()},
                                       {proto::Stage::EMBEDDING, study.space().embedding_size()}})
      if (values > 1 && std::find(stage.vary().begin(), stage.vary().end(), what) != stage.vary().end())
        throw BadRequest(at(".vary"), "one supernet holds the candidates of this stage",
                         proto::Stage::Vary_Name(what),
                         "what layers hold; `from` a stage that has decided the rest, or another evaluator");
  if (stage.has_filter() && std::ceil(RoundSize(stage, 0) / stage.filter().keep()) > kMostProposals)
    throw BadRequest(at(".filter.keep"),
                     "asks for more than " + std::to_string(kMostProposals) + " proposals a round",
                     std::to_string(stage.filter().keep()));
  if (stage.again() > 0 && !evaluator.trains_cohorts)
    throw BadRequest(at(".again"), "trains candidates once more, and this stage trains none",
                     std::to_string(stage.again()), "0, or an evaluator that trains them");
  const StrategyEntry& strategy = EntryOf(stage.strategy());
  if (strategy.needs_damages) {
    RequireSliced(study, at(".strategy." + strategy.name), "another strategy");
    const auto limits = [](const proto::Constraint& each) { return !each.has_plain_bert(); };
    if (std::none_of(study.constraint().begin(), study.constraint().end(), limits) &&
        std::none_of(study.target().begin(), study.target().end(), limits))
      throw BadRequest(at(".strategy." + strategy.name), "lays a budget out, and the study has none", "",
                       "a constraint or a target, for instance target { multiply_adds { speedup: 4 } }");
  }
  if (strategy.check != nullptr) strategy.check(stage, at(".strategy." + strategy.name));
  if (strategy.check_study != nullptr) strategy.check_study(study, stage, at(".strategy." + strategy.name));
}

}  // namespace

void ValidateStudy(const proto::Study& study, const SpaceContext& context, const std::string& where) {
  ValidateSpace(study.space(), At(where, "space"));
  if (HasForms(study.space()) && !study.warmup().has_sliced())
    throw BadRequest(At(where, "space.layer.ffn.form"),
                     "blocks are made of the teacher's neurons, but the study does not slice the teacher", "",
                     "warmup { sliced {} }, or a space without `form`");
  try {
    CheckConstraints(study, context, "");
  } catch (const Error& error) {
    throw Error(At(where, error.what()), error.code());
  }
  if (study.stage().empty()) throw BadRequest(At(where, "stage"), "a study has at least one stage");
  for (int i = 0; i < study.stage_size(); ++i) CheckStage(study, i, context, where);
  const auto trains = [](const proto::Stage& stage) { return EntryOf(stage.evaluator()).trains_cohorts; };
  if (study.has_ready() && std::none_of(study.stage().begin(), study.stage().end(), trains))
    throw BadRequest(At(where, "ready"), "is trained beside candidates, and no stage trains any",
                     study.ready(), "a stage with short_distillation or successive_halving");
  // A stage with `from` can always keep what it starts from, which met the same constraints.
  for (const auto& one : TargetStudies(study))
    for (int i = 0; i < one.stage_size(); ++i) {
      if (one.stage(i).has_from()) continue;
      const auto seed = SeedArchitecture(one.space(), context);
      try {
        const StageSpace space(one, one.stage(i), seed, context);
        MakeStrategy(one.stage(i).strategy(), space, Random(one.seed()));  // it may ask for more
      } catch (const Error& error) {
        throw Error(At(where, "stage[" + std::to_string(i) + "]: ") + error.what(), error.code());
      }
    }
}

}  // namespace thimble::search
