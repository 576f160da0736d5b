#include "tools/report/document.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include "base/config.h"
#include "base/error.h"
#include "data/task.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "proto/study.pb.h"
#include "search/evaluator.h"
#include "search/strategy.h"
#include "tools/report/agreement.h"
#include "tools/report/architecture_json.h"
#include "tools/report/verdict.h"
#include "tools/run/loss_table.h"
#include "tools/study/choice.h"
#include "tools/study/study_context.h"

namespace thimble::tools {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using search::Goal;
using search::StageResult;
using search::StoredTrial;
using search::TrialState;

namespace {

const char* StateName(TrialState state) {
  switch (state) {
    case TrialState::kComplete:
      return "complete";
    case TrialState::kPruned:
      return "thinned";
    case TrialState::kFail:
      return "failed";
    case TrialState::kLeft:
      return "left";
  }
  return "";
}

Json Parsed(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json() : json;
}

// JSON has no NaN and no infinity.
void Put(Json* json, const std::string& key, double value) {
  if (std::isfinite(value)) (*json)[key] = value;
}

const proto::Stage* StageNamed(const proto::Study& study, const std::string& name) {
  for (const auto& stage : study.stage())
    if (stage.name() == name) return &stage;
  return nullptr;
}

class Maker {
 public:
  explicit Maker(const DocumentInput& input)
      : input_(input), studies_(search::TargetStudies(input.file.study)) {}

  Json Make() {
    const auto groups = search::ByTarget(input_.results);
    Json stages = Json::array(), results = Json::array();
    for (size_t target = 0; target < groups.size(); ++target) {
      cheap_.clear();
      for (const auto& stage : groups[target]) stages.push_back(Stage(stage, target));
      results.push_back(Result(groups[target], target));
    }
    Json teacher = Teacher();
    Json json = {{"format", "thimble study"},
                 {"version", 1},
                 {"name", TitleOf(input_.file)},
                 {"task", TaskName()},
                 {"score", ScoreText()}};
    json["teacher"] = std::move(teacher);
    if (!input_.rows.empty()) json["rows"] = Parsed(input_.rows);
    json["results"] = std::move(results);
    json["stages"] = std::move(stages);
    json["layer_kinds"] = kinds_.List();
    json["commands"] = Commands(input_);
    return json;
  }

 private:
  std::string TaskName() const {
    try {
      return data::FindTask(input_.file.study.data().task(), input_.file.study.data().directory()).name;
    } catch (const Error&) {
      return "custom";  // its files are not there
    }
  }

  std::string ScoreText() const {
    switch (input_.file.study.fitness()) {
      case proto::METRIC:
        return "the task's first metric on held-out rows";
      case proto::DIVERGENCE:
        return "minus the divergence from the teacher's answers on held-out rows, in nats; the teacher "
               "itself has 0";
      default:
        return "minus the distillation loss on held-out rows";
    }
  }

  void PutCosts(Json* json, const proto::Architecture& architecture, size_t target) const {
    for (const auto& [goal, cost] : input_.costs.by_target[target])
      Put(json, goal == search::kLatency ? "latency_ms" : search::NameOf(goal), cost(architecture));
  }

  // Of the study's tasks what the metrics say of it; its costs as of the first target's limits.
  Json Teacher() {
    const auto& teacher = input_.file.study.teacher();
    Json json = {{"model", teacher.model()}};
    if (!input_.teacher.empty()) json["metrics"] = Parsed(input_.teacher);
    if (const auto score = TeacherScore(json)) json["score"] = *score;
    if (!input_.costs.teacher) return json;
    const auto& architecture = *input_.costs.teacher;
    json["parameters"] =
        models::DeployedParameters(models::Resolve(architecture), input_.costs.classes, input_.costs.head);
    PutCosts(&json, architecture, 0);
    json["architecture"] = kinds_.Json(architecture);
    return json;
  }

  // By what candidates are scored by, where it has one.
  std::optional<double> TeacherScore(const Json& teacher) const {
    if (input_.file.study.fitness() == proto::DIVERGENCE) return 0;
    if (input_.file.study.fitness() != proto::METRIC || !teacher.contains("metrics")) return std::nullopt;
    const auto& metrics = teacher["metrics"];
    if (!metrics.is_object() || metrics.empty() || !metrics.begin()->contains("value")) return std::nullopt;
    return metrics.begin()->at("value").get<double>();
  }

  Json TrialJson(const StoredTrial& stored, double cheap, size_t target) {
    const auto& trial = stored.trial;
    Json json = {{"number", stored.number}, {"round", stored.round}, {"state", StateName(trial.state)}};
    if (!trial.origin.empty()) json["origin"] = trial.origin;
    if (trial.scored()) {
      Put(&json, "score", trial.value);
      Put(&json, "standard_error", trial.standard_error);
    }
    if (trial.state == TrialState::kLeft) json["left_after"] = stored.left_after;
    if (stored.runs > 1) json["runs"] = stored.runs;
    Put(&json, "untrained", stored.filter_score);
    if (cheap != stored.filter_score) Put(&json, "cheap", cheap);
    json["parameters"] = stored.deployed_parameters;
    PutCosts(&json, trial.architecture, target);
    Put(&json, "seconds", stored.seconds);
    if (!stored.reason.empty()) json["reason"] = stored.reason;
    if (!stored.metrics.empty()) json["metrics"] = Parsed(stored.metrics);
    for (const auto& [loss, score] : stored.epochs) {
      Json epoch = Json::object();
      Put(&epoch, "loss", loss);
      Put(&epoch, "score", score);
      json["epochs"].push_back(epoch);
    }
    json["architecture_hash"] = models::ArchitectureHash(trial.architecture);
    json["architecture"] = kinds_.Json(trial.architecture);
    return json;
  }

  Json Stage(const StageResult& result, size_t target) {
    Json json = {{"name", result.name}};
    if (!result.target.empty()) json["target"] = result.target;
    bool trains = false;
    if (const auto* stage = StageNamed(studies_[target], result.name)) {
      const auto& evaluator = search::EntryOf(stage->evaluator());
      trains = evaluator.trains_cohorts;
      json["evaluator"] = evaluator.name;
      json["strategy"] = search::EntryOf(stage->strategy()).name;
      json["wanted"] = stage->trials();
    }
    json["trains"] = trains;
    if (!result.end.empty()) json["end"] = result.end;
    if (!result.explanation.empty()) json["explanation"] = result.explanation;
    if (result.best >= 0) json["best"] = result.trials[result.best].number;
    double seconds = 0;
    Json trials = Json::array();
    std::vector<std::pair<double, double>> pairs;
    for (const auto& stored : result.trials) {
      seconds += std::isfinite(stored.seconds) ? stored.seconds : 0;
      const std::string text = CanonicalText(stored.trial.architecture);
      double cheap = stored.filter_score;
      if (const auto known = cheap_.find(text); std::isnan(cheap) && trains && known != cheap_.end())
        cheap = known->second;
      if (stored.trial.state == TrialState::kComplete && stored.trial.origin != search::kReady &&
          std::isfinite(cheap) && std::isfinite(stored.trial.value))
        pairs.emplace_back(cheap, stored.trial.value);
      if (!trains && stored.trial.scored()) cheap_[text] = stored.trial.value;
      trials.push_back(TrialJson(stored, cheap, target));
    }
    json["seconds"] = seconds;
    if (!pairs.empty()) {
      json["cheap"] = {{"trials", pairs.size()}};
      if (const auto tau = KendallTau(pairs)) json["cheap"]["kendall_tau"] = *tau;
    }
    json["trials"] = std::move(trials);
    return json;
  }

  Json FrontJson(const StageResult& stage, size_t target) const {
    Json json = {{"goals", Json::array()}, {"trials", Json::array()}};
    for (const Goal goal : input_.front.goals) json["goals"].push_back(search::NameOf(goal));
    const Measured measured = Measure(stage, input_.front, target);
    for (const int i : search::ParetoFront(measured.points))
      json["trials"].push_back(stage.trials[measured.index[i]].number);
    return json;
  }

  Json Result(const std::vector<StageResult>& group, size_t target) {
    Json json = Json::object();
    if (!group[0].target.empty()) json["target"] = group[0].target;
    json["headline"] = Headline(group);
    json["finished"] = !group.back().end.empty();
    if (!input_.costs.latency[target].empty()) json["latency_of"] = input_.costs.latency[target];
    Found found = FoundIn(group);
    if (found.trial == nullptr) return json;
    const auto verdict = VerdictOf(group);
    // The best may be a control: what the search has found is then another.
    if (verdict && verdict->stage == found.stage) found.trial = verdict->found;
    json["stage"] = found.stage->name;
    json["found"] = found.trial->number;
    if (verdict) {
      json["compared"] = {{"stage", verdict->stage->name}, {"found", verdict->found->number}};
      for (const auto& each : verdict->against)
        json["compared"]["with"].push_back({{"origin", each.control->trial.origin},
                                            {"number", each.control->number},
                                            {"difference", each.more},
                                            {"standard_error", each.error},
                                            {"verdict", each.Word()}});
    }
    json["front"] = FrontJson(*found.stage, target);
    const int depth = found.trial->trial.architecture.layer_size();
    const int teacher =
        input_.costs.teacher ? input_.costs.teacher->layer_size() : input_.file.study.teacher().layers();
    if (teacher > 0)
      json["layer_map"] = LayerMap(depth, teacher, models::Resolve(found.trial->trial.architecture));
    return json;
  }

  Json LayerMap(int layers, int teacher_layers, const models::ResolvedArchitecture& student) const {
    Json rows = Json::array();
    try {
      for (const auto& row :
           LossRows(input_.file.study.recipe().objective(), layers, teacher_layers, &student))
        rows.push_back({{"student", row.student}, {"teacher", row.teacher}, {"losses", row.losses}});
    } catch (const Error&) {  // the found one has another depth than the rule is for
    }
    return rows;
  }

  const DocumentInput& input_;
  const std::vector<proto::Study> studies_;
  LayerKinds kinds_;
  std::map<std::string, double> cheap_;  // scores without training of one target, by architecture
};

}  // namespace

Json StudyDocument(const DocumentInput& input) { return Maker(input).Make(); }

std::string TitleOf(const StudyFile& file) {
  const std::string name =
      fs::absolute(file.directory + "/.").lexically_normal().parent_path().filename().string();
  return name.empty() ? "study" : name;
}

std::string DumpDocument(const Json& document, int indent) {
  return document.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace thimble::tools
