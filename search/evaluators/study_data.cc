#include "search/evaluators/study_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/cache.h"
#include "data/text/wordpiece.h"
#include "distill/objective.h"
#include "distill/start/sliced.h"
#include "models/encoder/resolve.h"
#include "search/evaluators/measured_latency.h"
#include "train/batch.h"
#include "train/task_model.h"
#include "train/threads.h"
#include "train/training_weights.h"

namespace thimble::search {
namespace fs = std::filesystem;

namespace {

// A relative path starts where the program was started, as on the command line; a study that is run from
// elsewhere finds nothing.
void CheckPlace(const std::string& field, const std::string& path) {
  std::error_code error;
  if (path.empty() || fs::exists(path, error)) return;
  const bool relative = fs::path(path).is_relative();
  throw BadRequest(field, "there is nothing of this name", path,
                   relative
                       ? "a path that exists; a relative one starts in the current directory, now " +
                             fs::current_path(error).string()
                       : "a path that exists; a study that moved may name another: --set " + field + "=PATH");
}

const proto::Study& WithPlaces(const proto::Study& study) {
  CheckPlace("teacher.model", study.teacher().model());
  CheckPlace("warmup.sliced.model", study.warmup().sliced().model());
  CheckPlace("ready", study.ready());
  CheckPlace("data.directory", study.data().directory());
  return study;
}

}  // namespace

StudyData::StudyData(const proto::Study& given, const std::string& directory,
                     const proto::Deployment& deployment)
    : study(WithPlaces(given)),
      directory(directory),
      work(directory + "/work"),
      task(data::FindTask(study.data().task(), study.data().directory())),
      teacher(train::LoadTaskModel(study.teacher().model(), task, study.teacher().assume_label_order())),
      start(study.warmup().sliced().has_model() ? std::optional(LoadStart()) : std::nullopt),
      ready(study.has_ready() ? std::optional(LoadReady()) : std::nullopt),
      taught_(start ? train::Taught(*start) : std::nullopt),
      latency_(MeasuredLatency(models::LastStates(teacher.model.head), study.space(), work)) {
  CheckTeacher();
  if (start)
    for (const auto& section : Sections(study.space()))
      distill::CheckSliceable(models::Resolve(LargestArchitecture(section, Context())), start->model);
  TakeTeachersLength();
  CheckObjective();
  const data::WordPiece tokenizer(study.teacher().model());
  const int threads = train::Threads(deployment);
  const auto rows = data::ReadRows(task, data::SplitPath(task, study.data().directory(), task.train),
                                   study.data().train_rows());
  const auto all = data::TokenizeCached(rows, task, tokenizer, MaxLength(), threads,
                                        data::CacheDirectory(deployment.cache()));
  const size_t held = static_cast<size_t>(std::ceil(all.examples.size() * study.data().holdout()));
  const size_t cut = held >= all.examples.size() ? 0 : all.RowStart(all.examples.size() - held);
  if (cut == 0 || cut == all.examples.size())
    throw BadRequest("data", "too few training rows to hold some out", std::to_string(all.examples.size()),
                     "at least 2");
  rows_hash = all.hash;
  train = all.Slice(0, cut);
  holdout = all.Slice(cut, all.examples.size());
  for (const auto& pattern : study.warmup().corpus().path())
    for (const auto& file : Glob(pattern)) corpus_files.push_back(file);
}

// Reads what the teacher reads: `field` names a model whose rows are tokenized for the teacher.
void StudyData::CheckTokens(const std::string& field, const std::string& directory) const {
  const data::WordPiece teachers(study.teacher().model()), own(directory);
  if (own.hash() != teachers.hash())
    throw BadRequest(field, directory + " cuts text otherwise than the teacher", own.hash(),
                     "the teacher's tokenizer, " + teachers.hash());
}

models::Pretrained StudyData::LoadStart() const {
  const std::string field = "warmup.sliced.model", &from = study.warmup().sliced().model();
  if (study.warmup().has_corpus())
    throw BadRequest("warmup.corpus",
                     "warms up what is cut out of the teacher, and " + field + " names another model", "",
                     "one of the two");
  CheckTokens(field, from);
  return train::LoadTaskModel(from, task, study.teacher().assume_label_order());
}

models::Pretrained StudyData::LoadReady() const {
  CheckTokens("ready", study.ready());
  const int classes = static_cast<int>(task.labels.size());
  const auto head = train::HeadOf(task.kind);
  auto loaded = models::LoadPretrained(study.ready());
  const Random random = Random(study.seed()).Fork("ready");
  if (loaded.model.classes == 0) {
    Info(study.ready() + " has no head: it gets a new one");
    models::AddHead(&loaded, classes, task.labels, random.Fork("head"), head);
  } else {
    models::RequireHead(loaded, classes, task.name, head);
    train::TakeLabelOrder(task, study.teacher().assume_label_order(), &loaded);
  }
  train::ReadTrainingWeights(study.ready(), &loaded.model);
  const int width = teacher.model.shape.hidden;
  if (loaded.model.teacher_hidden != width)
    train::NewProjection(width, random.Fork("projection"), &loaded.model);
  distill::Objective(study.recipe().objective(), loaded.model.shape, &teacher.model, true);  // its checks
  return loaded;
}

void StudyData::ProjectToTeacher(models::Model* student) const {
  if (!start) return;
  if (taught_) train::ProjectThrough(*taught_, student);
  const int width = teacher.model.shape.hidden;
  if (student->teacher_hidden != width)
    train::NewProjection(width, Random(study.seed()).Fork("projection"), student);
}

SpaceContext StudyData::Context() const {
  return {.classes = static_cast<int>(task.labels.size()),
          .teacher_hidden = teacher.model.shape.hidden,
          .head = teacher.model.head,
          .teacher = teacher.model.architecture,
          .latency = latency_};
}

int StudyData::MaxLength() const { return study.recipe().batching().max_length(); }

void StudyData::RequireInPlace() const {
  if (!fs::is_directory(directory))
    throw WorkFailed(directory, "was moved or removed while the study was running");
}

void StudyData::CheckTeacher() const {
  const auto& shape = teacher.model.shape;
  const auto check = [&](const char* field, int given, int found) {
    if (given != 0 && given != found)
      throw BadRequest(std::string("teacher.") + field,
                       "the model in " + study.teacher().model() + " differs", std::to_string(given),
                       std::to_string(found));
  };
  check("hidden", study.teacher().hidden(), shape.hidden);
  check("layers", study.teacher().layers(), static_cast<int>(shape.layers.size()));
  const auto& space = study.space();
  if (space.vocabulary() != shape.vocabulary)
    throw BadRequest("space.vocabulary", "must be the teacher's, whose tokens the student reads",
                     std::to_string(space.vocabulary()), std::to_string(shape.vocabulary));
}

void StudyData::TakeTeachersLength() {
  if (!teacher.settings.max_length) return;
  const int trained = std::min(*teacher.settings.max_length, teacher.model.shape.positions);
  if (!study.recipe().batching().has_max_length())
    study.mutable_recipe()->mutable_batching()->set_max_length(trained);
  if (MaxLength() != trained)
    Info("rows are read to " + std::to_string(MaxLength()) + " tokens; " + teacher.directory +
         " was trained with " + std::to_string(trained));
}

// Objective's own checks (head counts, layer map, what a layer's mixer shows to losses) belong before any
// work: of every mixer that a layer may have.
void StudyData::CheckObjective() const {
  for (const auto& section : Sections(study.space())) {
    auto architecture = LargestArchitecture(section, Context());
    int options = 1;
    for (int option = 0; option < options; ++option) {
      for (int i = 0; i < architecture.layer_size(); ++i) {
        const auto choices = LayerChoices(section, i);
        options = std::max(options, choices.mixer_size());
        *architecture.mutable_layer(i)->mutable_mixer() = choices.mixer(option % choices.mixer_size());
        architecture.mutable_layer(i)->clear_beside();
      }
      distill::Objective(study.recipe().objective(), models::Resolve(architecture), &teacher.model, true);
    }
  }
}

}  // namespace thimble::search
