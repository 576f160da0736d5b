#include "search/evaluators/study_bench.h"

#include <algorithm>
#include <filesystem>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/corpus.h"
#include "data/text/wordpiece.h"
#include "distill/objective.h"
#include "distill/projections.h"
#include "models/encoder/resolve.h"
#include "models/hub/safetensors.h"
#include "optim/optimizer.h"
#include "train/batch.h"

namespace thimble::search {
namespace fs = std::filesystem;
using models::Model;

namespace {

// Of a training run's settings; without the places of the text.
std::string WarmupText(proto::Warmup warmup) {
  if (warmup.has_corpus()) warmup.mutable_corpus()->clear_path();
  return CanonicalText(warmup);
}

}  // namespace

proto::Recipe StudyBench::Recipe(int epochs) const {
  proto::Recipe recipe = study().recipe();
  recipe.set_epochs(epochs);
  recipe.set_precision(choices.bfloat16 ? proto::BFLOAT16 : proto::FLOAT32);
  recipe.clear_keep();  // candidates are scored once they are trained
  return recipe;
}

int StudyBench::ThreadsOfOne() const {
  return std::max(1, choices.threads / std::max(1, choices.members_threads));
}

const distill::SlicedStart& StudyBench::Start() {
  if (!start_) {
    const auto& options = study().warmup().sliced();
    const size_t rows = std::min<size_t>(options.rows(), data.train.examples.size());
    const size_t held = std::min<size_t>(options.validate_rows(), data.holdout.examples.size());
    Info("sliced start: teacher pass over " + std::to_string(rows) + " rows, " + std::to_string(held) +
         " held out");
    start_ = std::make_unique<distill::SlicedStart>(
        data.start ? data.start->model : data.teacher.model,
        train::MakeBatches(data.train.Slice(0, rows), 32),
        train::MakeBatches(data.holdout.Slice(0, held), 32), options,
        // Of several depths each takes the layers at its own height; of another model than the teacher,
        // likewise.
        study().space().layers_size() > 1 || data.start
            ? std::vector<int>()
            : distill::StatedLayers(study().recipe().objective(), study().space().layers(0),
                                    static_cast<int>(data.teacher.model.shape.layers.size())));
  }
  return *start_;
}

const Model& StudyBench::Supernet(const proto::Architecture& candidate) {
  const auto section = SectionOf(study().space(), candidate);
  const std::string key = CanonicalText(section);
  if (const auto known = supernets_.find(key); known != supernets_.end()) return known->second;
  const auto context = data.Context();
  const auto largest = LargestArchitecture(section, context);
  auto made = sliced() ? Start().MakeSupernet(largest, study().seed(), ChoosesHeads(section))
                       : models::MakeModel(largest, context.classes, data.teacher.model.shape.hidden,
                                           Random(study().seed()).Fork("supernet"), data.teacher.model.head);
  const auto& warmup = study().warmup().corpus();
  if (!data.corpus_files.empty() && warmup.epochs() > 0) {
    const auto corpus =
        data::StreamedText({.files = data.corpus_files,
                            .lines = warmup.lines(),
                            .pairs = warmup.pairs(),
                            .max_length = data.MaxLength(),
                            .seed = study().seed()},
                           data::WordPiece(study().teacher().model()), data.work, train::Threads(deployment));
    proto::Recipe recipe = Recipe(warmup.epochs());
    *recipe.mutable_objective() = distill::ObjectiveOnText(recipe.objective(), false, "warmup.corpus");
    optim::SetBaseLearningRate(warmup.learning_rate(), recipe.mutable_optimizer());
    const bool alone = Sections(study().space()).size() == 1;
    TrainOnce("warm-up on text", alone ? "warmup" : "warmup-" + HashHex(key).substr(0, 12), recipe, corpus,
              nullptr, &made, {});
  }
  return supernets_.emplace(key, std::move(made)).first->second;
}

Model StudyBench::Student(const proto::Architecture& architecture, distill::SlicedReport* report) {
  const Model& from = Supernet(architecture);
  const train::TorchThreads threads(ThreadsOfOne());
  if (!sliced()) return models::CropCandidate(from, architecture);
  Model student = Start().MakeCandidate(from, architecture, report);
  data.ProjectToTeacher(&student);
  return student;
}

train::Job StudyBench::TrainingJob(const std::string& what, const proto::Recipe& recipe) {
  train::Job job;
  job.what = what;
  job.recipe = recipe;
  job.deployment = deployment;
  job.sources[0].train = &data.train;
  job.sources[0].task = &data.task;
  job.sources[0].teacher = &data.teacher.model;
  job.sources[0].teacher_cache = TeacherOnTrain();
  return job;
}

void StudyBench::TrainOnce(const std::string& what, const std::string& name, const proto::Recipe& recipe,
                           const data::Dataset& rows, const data::TaskEntry* labels, Model* model,
                           std::function<models::ResolvedArchitecture(int64_t)> view) {
  const std::string result = data.work + "/" + name + ".safetensors";
  const auto identity_with = [&](const std::string& warmup) {
    return HashHex(CanonicalText(recipe) + rows.hash + CanonicalText(model->architecture) +
                   std::to_string(study().seed()) + warmup);
  };
  const std::string identity = identity_with(WarmupText(study().warmup()));
  const std::string teacher_hash = data.teacher.model.weights.Hash();
  if (fs::exists(result)) {
    auto file = models::ReadSafetensors(result);
    // Older versions wrote where the text lay.
    if (file.metadata["identity"] != identity &&
        file.metadata["identity"] != identity_with(CanonicalText(study().warmup())))
      throw BadRequest(result, "belongs to other settings; use a new study directory");
    const auto trained_with = file.metadata.find("teacher");  // absent in files of older versions
    if (trained_with != file.metadata.end() && trained_with->second != teacher_hash)
      throw BadRequest(result, "comes from another teacher than " + study().teacher().model() + " holds now",
                       "weights " + teacher_hash,
                       "weights " + trained_with->second + ", or a new study directory");
    distill::AddOwnProjections(recipe.objective(), {model});  // as training does; they are in the file
    for (const auto& [key, tensor] : file.tensors) model->weights.at(key) = tensor;
    return;
  }
  data.RequireInPlace();
  const EnsuredDirectory made(data.work);
  train::Job job;
  job.what = what;
  job.recipe = recipe;
  job.deployment = deployment;
  job.sources[0].train = &rows;
  job.sources[0].task = labels;
  job.sources[0].teacher = &data.teacher.model;
  if (&rows == &data.train) job.sources[0].teacher_cache = TeacherOnTrain();
  job.members = {{.name = name,
                  .models = {model},
                  .seed = study().seed(),
                  .view = std::move(view),
                  .events = data.Events(name)}};
  job.checkpoint = data.work + "/" + name + ".checkpoint";
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed(what, results[0].failure);
  models::WriteSafetensors(result, model->weights, {{"identity", identity}, {"teacher", teacher_hash}});
  fs::remove(job.checkpoint);
}

const train::TeacherCache* StudyBench::TeacherOn(const data::Dataset& rows, Cached* cached) {
  if (!cached->decided) {
    data.RequireInPlace();
    const int passes = study().stage_size() + 1;  // at least one a stage, and the exported student's
    // Students of other depths look at other layers of the teacher: then all of them.
    const auto looking = study().space().layers_size() > 1
                             ? data.teacher.model.shape
                             : models::Resolve(LargestArchitecture(study().space(), data.Context()));
    cached->cache =
        train::TeacherCache::Open(Recipe(1), data.teacher.model, looking, rows, passes, data.work);
    cached->decided = true;
  }
  return cached->cache.get();
}

}  // namespace thimble::search
