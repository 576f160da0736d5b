#include "tools/study/study_context.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "data/task.h"
#include "models/hub/pretrained.h"
#include "proto/study.pb.h"
#include "search/evaluators/measured_latency.h"
#include "search/evaluators/study_scorer.h"
#include "tools/quantities.h"
#include "train/batch.h"

namespace thimble::tools {
namespace fs = std::filesystem;

namespace {

std::optional<models::Pretrained> TeacherOf(const proto::Study& study) {
  if (!fs::exists(study.teacher().model() + "/config.json")) return std::nullopt;
  return models::LoadPretrained(study.teacher().model());
}

}  // namespace

search::SpaceContext ContextOf(const proto::Study& study, const std::string& directory) {
  const auto teacher = TeacherOf(study);
  const int hidden = teacher ? teacher->model.shape.hidden : study.teacher().hidden();
  if (hidden == 0)
    throw BadRequest("teacher.model", "there is no model here and teacher.hidden does not say its width",
                     study.teacher().model(), "a Hugging Face directory, or teacher { hidden: 768 }");
  const auto& task = data::FindTask(study.data().task(), study.data().directory());
  search::SpaceContext context{.classes = static_cast<int>(task.labels.size()),
                               .teacher_hidden = hidden,
                               .head = train::HeadOf(task.kind)};
  bool measured = !directory.empty();
  for (const auto* limits : {&study.constraint(), &study.target()})
    for (const auto& limit : *limits)
      measured = measured && (!limit.has_latency() ||
                              fs::exists(search::LatencyFile(directory + "/work", limit.latency())));
  context.latency = search::MeasuredLatency(models::LastStates(context.head), study.space(),
                                            measured ? directory + "/work" : "");
  if (teacher) context.teacher = teacher->model.architecture;
  return context;
}

int TeacherLayers(const proto::Study& study) {
  const auto teacher = TeacherOf(study);
  return teacher ? static_cast<int>(teacher->model.shape.layers.size()) : study.teacher().layers();
}

void UseStoredChoices(const StudyFile& file, search::Store* store, search::StudyScorer* bench) {
  const int stage = store->OpenStage(file.study.stage(0).name());
  search::Choices choices;
  const auto precision = store->Fact(stage, "precision");
  const auto members = store->Fact(stage, "members_threads");
  const auto threads = store->Fact(stage, "threads");  // written last
  if (precision && members && threads) {
    choices = {.bfloat16 = *precision == "bfloat16",
               .members_threads = std::stoi(*members),
               .threads = std::stoi(*threads)};
  } else {
    choices = bench->Measure();
    store->SetFact(stage, "precision", choices.bfloat16 ? "bfloat16" : "float32");
    store->SetFact(stage, "members_threads", std::to_string(choices.members_threads));
    store->SetFact(stage, "threads", std::to_string(choices.threads));
  }
  bench->Use(choices);
}

void KeepSummaries(const StudyFile& file, search::Store* store, search::StudyScorer* bench) {
  const int stage = store->OpenStage(file.study.stage(0).name());
  if (!store->Fact(stage, kDataFact)) store->SetFact(stage, kDataFact, bench->DataSummary());
  if (!store->Fact(stage, kTeacherFact)) store->SetFact(stage, kTeacherFact, bench->TeacherSummary());
}

std::string TeacherText(const StudyFile& file, const search::Store& store) {
  const auto stage = store.FindStage(file.study.stage(0).name());
  const auto fact = stage ? store.Fact(*stage, kTeacherFact) : std::nullopt;
  const auto json = nlohmann::ordered_json::parse(fact.value_or("{}"), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.empty() || !json.begin()->contains("value")) return "";
  return json.begin().key() + " " + Decimal(json.begin()->at("value").get<double>(), 3);
}

}  // namespace thimble::tools
