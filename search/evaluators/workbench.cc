#include "search/evaluators/workbench.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "data/cache.h"
#include "data/corpus.h"
#include "data/dataset.h"
#include "data/task.h"
#include "data/text/wordpiece.h"
#include "distill/objective.h"
#include "distill/projections.h"
#include "distill/start/sliced.h"
#include "models/encoder/resolve.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"
#include "optim/optimizer.h"
#include "proto/deployment.pb.h"
#include "train/batch.h"
#include "train/cohort.h"
#include "train/evaluate.h"
#include "train/task_model.h"

namespace thimble::search {
namespace fs = std::filesystem;
using models::Model;

namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

std::string ToJson(const train::Evaluation& evaluation) {
  nlohmann::json json;
  for (const auto& metric : evaluation.metrics) json[metric.name] = metric.value;
  json["loss"] = evaluation.loss;
  for (size_t i = 0; i < evaluation.losses.size(); ++i)
    json["loss/" + evaluation.loss_names[i]] = evaluation.losses[i];
  return json.dump();
}

Score Failed(const std::string& reason) { return {.value = std::nan(""), .reason = reason}; }

Score ToScore(const train::Evaluation& evaluation, proto::Fitness fitness) {
  if (!evaluation.failure.empty()) return Failed(evaluation.failure);
  Score score;
  score.metrics = ToJson(evaluation);
  if (fitness == proto::METRIC) {
    score.value = evaluation.metrics.front().value;
    score.standard_error = evaluation.metrics.front().standard_error;
  } else {
    score.value = -evaluation.loss;
    score.standard_error = evaluation.loss_standard_error;
  }
  return std::isfinite(score.value) ? score : Failed("the score is not finite");
}

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
  CheckPlace("data.directory", study.data().directory());
  return study;
}

// Of a training run's settings; without the places of the text.
std::string WarmupText(proto::Warmup warmup) {
  if (warmup.has_corpus()) warmup.mutable_corpus()->clear_path();
  return CanonicalText(warmup);
}

}  // namespace

struct Workbench::Impl {
  Impl(const proto::Study& study, const std::string& directory, const proto::Deployment& deployment)
      : study(WithPlaces(study)),
        directory(directory),
        work(directory + "/work"),
        deployment(deployment),
        task(data::FindTask(study.data().task(), study.data().directory())),
        teacher(train::LoadTaskModel(study.teacher().model(), task, study.teacher().assume_label_order())) {
    CheckTeacher();
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

  // Objective's own checks (head counts, layer map, what a layer's mixer shows to losses) belong before any work:
  // of every mixer that a layer may have.
  void CheckObjective() const {
    auto architecture = LargestArchitecture(study.space(), Context());
    int options = 1;
    for (int option = 0; option < options; ++option) {
      for (int i = 0; i < architecture.layer_size(); ++i) {
        const auto choices = LayerChoices(study.space(), i);
        options = std::max(options, choices.mixer_size());
        *architecture.mutable_layer(i)->mutable_mixer() = choices.mixer(option % choices.mixer_size());
        architecture.mutable_layer(i)->clear_beside();
      }
      distill::Objective(study.recipe().objective(), models::Resolve(architecture), &teacher.model, true);
    }
  }

  SpaceContext Context() const {
    return {.classes = static_cast<int>(task.labels.size()),
            .teacher_hidden = teacher.model.shape.hidden,
            .head = teacher.model.head};
  }

  // A study that is moved while it runs is not begun anew where it was.
  void RequireInPlace() const {
    if (!fs::is_directory(directory))
      throw WorkFailed(directory, "was moved or removed while the study was running");
  }

  void CheckTeacher() const {
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

  int MaxLength() const { return study.recipe().batching().max_length(); }

  void TakeTeachersLength() {
    if (!teacher.settings.max_length) return;
    const int trained = std::min(*teacher.settings.max_length, teacher.model.shape.positions);
    if (!study.recipe().batching().has_max_length())
      study.mutable_recipe()->mutable_batching()->set_max_length(trained);
    if (MaxLength() != trained)
      Say("rows are read to " + std::to_string(MaxLength()) + " tokens; " + teacher.directory +
          " was trained with " + std::to_string(trained));
  }

  proto::Recipe Recipe(int epochs) const {
    proto::Recipe recipe = study.recipe();
    recipe.set_epochs(epochs);
    recipe.set_precision(choices.bfloat16 ? proto::BFLOAT16 : proto::FLOAT32);
    recipe.clear_keep();  // candidates are scored once they are trained
    return recipe;
  }

  std::vector<int> ObjectiveLayers() const {
    return distill::StatedLayers(study.recipe().objective(), study.space().layers(),
                                 static_cast<int>(teacher.model.shape.layers.size()));
  }

  const distill::SlicedStart& Start() {
    if (!start) {
      const auto& options = study.warmup().sliced();
      const size_t rows = std::min<size_t>(options.rows(), train.examples.size());
      const size_t held = std::min<size_t>(options.validate_rows(), holdout.examples.size());
      Say("sliced start: teacher pass over " + std::to_string(rows) + " rows, " + std::to_string(held) +
          " held out");
      start = std::make_unique<distill::SlicedStart>(
          teacher.model, train::MakeBatches(train.Slice(0, rows), 32),
          train::MakeBatches(holdout.Slice(0, held), 32), options, ObjectiveLayers());
    }
    return *start;
  }

  // The supernet of the whole study, warmed up; made once, then read from disk.
  const Model& Supernet() {
    if (supernet) return *supernet;
    const auto largest = LargestArchitecture(study.space(), Context());
    auto made = study.warmup().has_sliced()
                    ? Start().MakeSupernet(largest, study.seed())
                    : models::MakeModel(largest, Context().classes, teacher.model.shape.hidden,
                                        Random(study.seed()).Fork("supernet"), teacher.model.head);
    if (corpus_files.empty() || study.warmup().corpus().epochs() == 0) {
      supernet = std::make_unique<Model>(std::move(made));
      return *supernet;
    }
    RequireInPlace();
    const auto corpus =
        data::StreamedText({.files = corpus_files,
                            .lines = study.warmup().corpus().lines(),
                            .pairs = study.warmup().corpus().pairs(),
                            .max_length = study.recipe().batching().max_length(),
                            .seed = study.seed()},
                           data::WordPiece(study.teacher().model()), work, train::Threads(deployment));
    proto::Recipe recipe = Recipe(study.warmup().corpus().epochs());
    *recipe.mutable_objective() = distill::ObjectiveOnText(recipe.objective(), false, "warmup.corpus");
    optim::SetBaseLearningRate(study.warmup().corpus().learning_rate(), recipe.mutable_optimizer());
    TrainOnce("warm-up on text", "warmup", recipe, corpus, nullptr, &made, {});
    supernet = std::make_unique<Model>(std::move(made));
    return *supernet;
  }

  // Trains `model` unless its result lies in work/NAME.safetensors already; a kill in between resumes from
  // the checkpoint.
  void TrainOnce(const std::string& what, const std::string& name, const proto::Recipe& recipe,
                 const data::Dataset& data, const data::TaskEntry* labels, Model* model,
                 std::function<models::Shape(int64_t)> view) {
    const std::string result = work + "/" + name + ".safetensors";
    const auto identity_with = [&](const std::string& warmup) {
      return HashHex(CanonicalText(recipe) + data.hash + CanonicalText(model->architecture) +
                     std::to_string(study.seed()) + warmup);
    };
    const std::string identity = identity_with(WarmupText(study.warmup()));
    const std::string teacher_hash = teacher.model.weights.Hash();
    if (fs::exists(result)) {
      auto file = models::ReadSafetensors(result);
      // Older versions wrote where the text lay.
      if (file.metadata["identity"] != identity &&
          file.metadata["identity"] != identity_with(CanonicalText(study.warmup())))
        throw BadRequest(result, "belongs to other settings; use a new study directory");
      const auto trained_with = file.metadata.find("teacher");  // absent in files of older versions
      if (trained_with != file.metadata.end() && trained_with->second != teacher_hash)
        throw BadRequest(result, "comes from another teacher than " + study.teacher().model() + " holds now",
                         "weights " + teacher_hash,
                         "weights " + trained_with->second + ", or a new study directory");
      distill::AddOwnProjections(recipe.objective(), {model});  // as training does; they are in the file
      for (const auto& [key, tensor] : file.tensors) model->weights.at(key) = tensor;
      return;
    }
    RequireInPlace();
    const EnsuredDirectory made(work);
    train::Job job;
    job.what = what;
    job.recipe = recipe;
    job.deployment = deployment;
    job.sources[0].train = &data;
    job.sources[0].task = labels;
    job.sources[0].teacher = &teacher.model;
    if (&data == &train) job.sources[0].teacher_cache = TeacherOnTrain();
    job.members = {{.name = name, .models = {model}, .seed = study.seed(), .view = std::move(view)}};
    job.checkpoint = work + "/" + name + ".checkpoint";
    const auto results = train::Train(job);
    if (!results[0].failure.empty()) throw WorkFailed(what, results[0].failure);
    models::WriteSafetensors(result, model->weights, {{"identity", identity}, {"teacher", teacher_hash}});
    fs::remove(job.checkpoint);
  }

  // A candidate has as many, whoever else is in its round: sums are rounded differently with another number.
  int ThreadsOfOne() const { return std::max(1, choices.threads / std::max(1, choices.members_threads)); }

  Model Student(const proto::Architecture& architecture, distill::SlicedReport* report) {
    const Model& from = Supernet();
    const train::TorchThreads threads(ThreadsOfOne());
    return study.warmup().has_sliced() ? Start().MakeCandidate(from, architecture, report)
                                       : models::CopyCandidate(from, architecture);
  }

  // The teacher's outputs on one of the two sets of rows, made once for all candidates; nullptr: too large.
  struct Cached {
    bool decided = false;
    std::unique_ptr<train::TeacherCache> cache;
  };
  const train::TeacherCache* TeacherOn(const data::Dataset& rows, Cached* cached) {
    if (!cached->decided) {
      RequireInPlace();
      const int passes = study.stage_size() + 1;  // at least one a stage, and the exported student's
      cached->cache = train::TeacherCache::Open(
          Recipe(1), teacher.model, models::Resolve(LargestArchitecture(study.space(), Context())), rows,
          passes, work);
      cached->decided = true;
    }
    return cached->cache.get();
  }
  const train::TeacherCache* TeacherOnTrain() { return TeacherOn(train, &train_cache); }
  const train::TeacherCache* TeacherOnHoldout() { return TeacherOn(holdout, &holdout_cache); }

  train::Evaluation EvaluateOnHoldout(const Model& model, const models::Shape* candidate) {
    const distill::Objective objective(study.recipe().objective(), candidate ? *candidate : model.shape,
                                       &teacher.model, true);
    train::EvaluateOptions options;
    options.candidate = candidate;
    options.teacher = &teacher.model;
    options.teacher_cache = TeacherOnHoldout();
    options.objective = &objective;
    options.bfloat16 = choices.bfloat16;
    options.batch_size = kEvaluationBatch;
    options.padded_length = train::PaddedLength(study.recipe());
    // Not Evaluate: one candidate without a score does not end the others.
    return train::EvaluateTogether({{&model, candidate, &objective}}, holdout, &task, options)[0];
  }

  // Scores candidates side by side.
  std::vector<Score> EvaluateEach(
      const std::string& what, const std::vector<proto::Architecture>& candidates, proto::Fitness fitness,
      const std::function<train::Evaluation(const proto::Architecture&)>& evaluate) {
    TeacherOnHoldout();
    std::vector<Score> scores(candidates.size());
    Progress progress(what, static_cast<int64_t>(candidates.size()));
    std::mutex mutex;
    int done = 0;
    ParallelFor(candidates.size(), choices.members_threads, [&](size_t i) {
      if (InterruptRequested()) throw Interrupted();
      const train::TorchThreads threads(ThreadsOfOne());
      const auto begin = std::chrono::steady_clock::now();
      scores[i] = ToScore(evaluate(candidates[i]), fitness);
      scores[i].seconds = Seconds(begin);
      const std::lock_guard lock(mutex);
      progress.Update(++done);
    });
    return scores;
  }

  std::vector<Score> Untrained(const std::string& what, const std::vector<proto::Architecture>& candidates,
                               proto::Fitness fitness) {
    Supernet();  // made before the candidates run side by side
    untrained.clear();
    std::mutex mutex;
    return EvaluateEach(what, candidates, fitness, [&](const proto::Architecture& architecture) {
      Model student = Student(architecture, nullptr);
      const auto evaluation = EvaluateOnHoldout(student, nullptr);
      const std::lock_guard lock(mutex);
      untrained.emplace(CanonicalText(architecture), std::move(student));
      return evaluation;
    });
  }

  // The students that the filter made of these architectures, or new ones. Refitting takes seconds; the
  // filter's are used up.
  std::vector<Model> TakeStudents(const std::vector<proto::Architecture>& candidates) {
    std::vector<Model> students(candidates.size());
    std::vector<size_t> missing;
    for (size_t i = 0; i < candidates.size(); ++i) {
      auto node = untrained.extract(CanonicalText(candidates[i]));
      if (node.empty())
        missing.push_back(i);
      else
        students[i] = std::move(node.mapped());
    }
    untrained.clear();
    if (missing.empty()) return students;
    Supernet();  // made before the candidates run side by side
    ParallelFor(missing.size(), choices.members_threads, [&](size_t k) {
      if (InterruptRequested()) throw Interrupted();
      students[missing[k]] = Student(candidates[missing[k]], nullptr);
    });
    return students;
  }

  std::vector<Score> Distilled(const proto::Stage& stage,
                               const std::vector<proto::Architecture>& candidates) {
    std::vector<Model> students = TakeStudents(candidates);
    train::Job job;
    job.what = "stage " + stage.name() + ": distilling " + std::to_string(candidates.size());
    job.recipe = Recipe(stage.evaluator().short_distillation().epochs());
    job.deployment = deployment;
    job.sources[0].train = &train;
    job.sources[0].task = &task;
    job.sources[0].teacher = &teacher.model;
    job.sources[0].teacher_cache = TeacherOnTrain();
    job.members_threads = choices.members_threads;
    for (size_t i = 0; i < students.size(); ++i)
      job.members.push_back(
          {.name = models::ArchitectureHash(candidates[i]), .models = {&students[i]}, .seed = study.seed()});
    RequireInPlace();
    const EnsuredDirectory made(work);
    // Named by its members: an unfinished round is found again, another round's is never mistaken for it.
    std::string names;
    for (const auto& member : job.members) names += member.name;
    job.checkpoint = work + "/" + stage.name() + "-" + HashHex(names).substr(0, 12) + ".checkpoint";
    const auto begin = std::chrono::steady_clock::now();
    const auto results = train::Train(job);
    const double each = Seconds(begin) / static_cast<double>(students.size());
    std::vector<Score> scores(students.size());
    for (size_t i = 0; i < students.size(); ++i) {
      scores[i] = results[i].failure.empty()
                      ? ToScore(EvaluateOnHoldout(students[i], nullptr), study.fitness())
                      : Failed(results[i].failure);
      scores[i].seconds = each;
    }
    fs::remove(job.checkpoint);
    return scores;
  }

  // Seconds of one update of `members` copies of `student`, `members_threads` of them at a time. By the
  // labels alone: a teacher's pass is the same for all.
  double UpdateSeconds(const Model& student, const proto::Recipe& recipe, int members, int members_threads) {
    const auto update =
        static_cast<size_t>(recipe.batching().size()) * static_cast<size_t>(recipe.accumulate());
    const data::Dataset rows = train.Slice(0, std::min(update, train.examples.size()));
    std::vector<Model> students;
    for (int i = 0; i < members; ++i)
      students.push_back(models::CopyCandidate(student, student.architecture));
    train::Job job;
    job.what = "measuring how students step";
    job.recipe = recipe;
    job.deployment = deployment;
    job.sources[0].train = &rows;
    job.sources[0].task = &task;
    job.members_threads = members_threads;
    for (Model& each : students)
      job.members.push_back(
          {.name = std::to_string(job.members.size()), .models = {&each}, .seed = study.seed()});
    const auto begin = std::chrono::steady_clock::now();
    train::Train(job);
    return Seconds(begin);
  }

  // How many members of this study's cohorts step at the same time: all that there are cores for, or one
  // after another with all cores each.
  int MeasureMembers(bool bfloat16) {
    int largest = 0;  // cohort
    for (const auto& stage : study.stage())
      if (stage.evaluator().has_short_distillation())
        largest = std::max(largest, std::min(stage.round(), stage.trials()));
    const int cores = train::Threads(deployment);
    if (largest == 0) return cores;  // candidates are scored only, each on its own
    const int members = std::min(cores, largest);
    if (members < 2) return 1;
    proto::Recipe recipe = Recipe(1);
    recipe.set_precision(bfloat16 ? proto::BFLOAT16 : proto::FLOAT32);
    recipe.clear_objective();
    recipe.mutable_objective()->add_loss()->mutable_hard_labels();
    const Model student = models::MakeModel(SeedArchitecture(study.space(), Context()), Context().classes, 0,
                                            Random(study.seed()).Fork("measured"), teacher.model.head);
    double together = HUGE_VAL, in_turn = HUGE_VAL;
    for (int i = 0; i < 3; ++i) {  // the best of each, alternating: a machine's speed wanders
      together = std::min(together, UpdateSeconds(student, recipe, members, members));
      in_turn = std::min(in_turn, UpdateSeconds(student, recipe, members, 1));
    }
    // Near a tie the same answer every time, whatever the clock says.
    return in_turn < 0.9 * together ? 1 : members;
  }

  static constexpr int kEvaluationBatch = 64;

  proto::Study study;
  std::string directory, work;
  proto::Deployment deployment;
  const data::TaskEntry& task;
  models::Pretrained teacher;
  data::Dataset train, holdout;
  std::string rows_hash;  // of both together
  std::vector<std::string> corpus_files;
  Choices choices;
  std::unique_ptr<distill::SlicedStart> start;
  std::unique_ptr<Model> supernet;        // of the study, warmed up
  std::unique_ptr<Model> stage_supernet;  // of a stage with the supernet evaluator, trained on the task
  std::string stage_supernet_name;
  Cached train_cache, holdout_cache;
  std::map<std::string, Model>
      untrained;  // of the last filter, by canonical text: the kept ones are trained next
};

Workbench::Workbench(const proto::Study& study, const std::string& directory,
                     const proto::Deployment& deployment)
    : impl_(std::make_unique<Impl>(study, directory, deployment)) {}
Workbench::~Workbench() = default;

SpaceContext Workbench::context() const { return impl_->Context(); }
const models::Pretrained& Workbench::teacher() const { return impl_->teacher; }
const data::TaskEntry& Workbench::task() const { return impl_->task; }
const data::Dataset& Workbench::train() const { return impl_->train; }
const data::Dataset& Workbench::holdout() const { return impl_->holdout; }
int Workbench::max_length() const { return impl_->MaxLength(); }

Choices Workbench::Measure() const {
  const bool bfloat16 = train::ResolvePrecision(impl_->study.recipe().precision()) == proto::BFLOAT16;
  return {.bfloat16 = bfloat16,
          .members_threads = impl_->MeasureMembers(bfloat16),
          .threads = train::Threads(impl_->deployment)};
}

void Workbench::Use(const Choices& choices) {
  impl_->choices = choices;
  impl_->deployment.set_threads(choices.threads);
  train::SetTorchThreads(choices.threads);
}

Model Workbench::Student(const proto::Architecture& architecture, distill::SlicedReport* report) {
  return impl_->Student(architecture, report);
}

Inputs Workbench::Inputs() const {
  return {{"teacher.model", impl_->teacher.model.weights.Hash()}, {"data.directory", impl_->rows_hash}};
}

void Workbench::Prepare(const proto::Stage& stage, const StageSpace& space) {
  if (!stage.evaluator().has_supernet() || impl_->stage_supernet_name == stage.name()) return;
  impl_->Supernet();
  // The stage's expressions at full size, cut from the study's supernet and refitted as any candidate is.
  auto largest = LargestArchitecture(impl_->study.space(), impl_->Context());
  const auto& base = space.base();
  for (int i = 0; i < largest.layer_size(); ++i)
    largest.mutable_layer(i)->mutable_ffn()->set_expression(base.layer(i).ffn().expression());
  auto model = impl_->Student(largest, nullptr);
  const Random random = Random(impl_->study.seed()).Fork("supernet views of " + stage.name());
  const auto view = [&space, random](int64_t step) {
    Random draw = random.Fork("step", static_cast<uint64_t>(step));
    const auto sampled = space.Sample(&draw);
    THIMBLE_CHECK(sampled.has_value(), "no feasible candidate to train the supernet with");
    return models::Resolve(*sampled);
  };
  impl_->TrainOnce("stage " + stage.name() + ": training the supernet", "stage-" + stage.name(),
                   impl_->Recipe(stage.evaluator().supernet().epochs()), impl_->train, &impl_->task, &model,
                   view);
  impl_->stage_supernet = std::make_unique<Model>(std::move(model));
  impl_->stage_supernet_name = stage.name();
}

std::vector<double> Workbench::Filter(const proto::Stage& stage,
                                      const std::vector<proto::Architecture>& candidates) {
  // Whatever trained candidates are compared by: of all cheap scores the untrained metric says most about the
  // trained one, and the loss little (docs/ranking.md). On few rows metrics are often equal; then the loss
  // decides, made small beside what one row is worth.
  constexpr double kTie = 1e-7;
  std::vector<double> values;
  for (const auto& score :
       impl_->Untrained("stage " + stage.name() + ": untrained scores", candidates, proto::METRIC)) {
    // What has no score is the worst, and what has no loss: JSON has no NaN.
    nlohmann::json loss;
    if (std::isfinite(score.value)) loss = nlohmann::json::parse(score.metrics).at("loss");
    values.push_back(loss.is_number() ? score.value - kTie * loss.get<double>() : -HUGE_VAL);
  }
  return values;
}

std::vector<Score> Workbench::Evaluate(const proto::Stage& stage,
                                       const std::vector<proto::Architecture>& candidates) {
  if (stage.evaluator().has_short_distillation()) return impl_->Distilled(stage, candidates);
  const std::string what = "stage " + stage.name() + ": scoring";
  const auto fitness = impl_->study.fitness();
  if (stage.evaluator().has_untrained()) return impl_->Untrained(what, candidates, fitness);
  if (stage.evaluator().supernet().refit() && impl_->study.warmup().has_sliced()) {
    const auto& start = impl_->Start();
    return impl_->EvaluateEach(what, candidates, fitness, [&](const proto::Architecture& architecture) {
      return impl_->EvaluateOnHoldout(start.MakeCandidate(*impl_->stage_supernet, architecture), nullptr);
    });
  }
  return impl_->EvaluateEach(what, candidates, fitness, [&](const proto::Architecture& architecture) {
    const auto shape = models::Resolve(architecture);
    return impl_->EvaluateOnHoldout(*impl_->stage_supernet, &shape);
  });
}

std::vector<Score> Workbench::Untrained(const std::vector<proto::Architecture>& candidates) {
  return impl_->Untrained("untrained scores", candidates, impl_->study.fitness());
}

void Workbench::Distil(Model* student, int epochs, const std::string& checkpoint) {
  train::Job job;
  job.what = "distilling the student";
  job.recipe = impl_->Recipe(epochs);
  job.score_epochs = false;  // who exports the student scores it
  if (impl_->study.recipe().has_keep()) job.recipe.set_keep(impl_->study.recipe().keep());
  job.deployment = impl_->deployment;
  job.sources[0].train = &impl_->train;
  job.sources[0].validate = &impl_->holdout;
  job.sources[0].task = &impl_->task;
  job.sources[0].teacher = &impl_->teacher.model;
  job.sources[0].teacher_cache = impl_->TeacherOnTrain();
  if (job.recipe.keep() == proto::BEST) job.sources[0].validate_cache = impl_->TeacherOnHoldout();
  job.members = {{.name = "student", .models = {student}, .seed = impl_->study.seed()}};
  job.checkpoint = checkpoint;
  const auto results = train::Train(job);
  if (!results[0].failure.empty()) throw WorkFailed("distilling the student", results[0].failure);
}

}  // namespace thimble::search
