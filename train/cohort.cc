#include "train/cohort.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "data/masking.h"
#include "distill/objective.h"
#include "distill/projections.h"
#include "optim/optimizer.h"
#include "train/checkpoint.h"
#include "train/task_sampler.h"
#include "train/training_events.h"

namespace thimble::train {
namespace {

using Clock = std::chrono::steady_clock;

std::string Format(const char* format, double value) {
  if (std::isnan(value)) return "nan";  // its sign means nothing
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

// A member with what it needs to step; the parts that change and are saved lie in RunState.
struct Student {
  const Member* member;
  std::vector<distill::Objective> objectives;  // one for each source
  models::Weights weights;                     // of all its models, each once
  optim::Parameters parameters;
  std::unique_ptr<optim::Optimizer> optimizer;
  models::Weights best;  // of its best epoch, by Recipe.keep BEST
};

// What several models share is theirs under its own name; a head is its task's.
models::Weights WeightsOf(const Member& member, const std::vector<TrainingTask>& sources) {
  models::Weights all;
  for (size_t s = 0; s < sources.size(); ++s)
    for (const auto& [name, tensor] : member.models[s]->weights) {
      const bool own = sources.size() > 1 && name.compare(0, 5, "head.") == 0;
      const std::string full = own ? sources[s].task->name + "/" + name : name;
      if (!all.Has(full)) {
        all.Add(full, tensor);
      } else {
        THIMBLE_CHECK(all.at(full).is_same(tensor), member.name + " has two tensors " + full);
      }
    }
  return all;
}

// What the best epoch has most of: the mean first metric of the tasks, minus the loss where there is none.
double Value(const std::vector<Evaluation>& evaluations) {
  double sum = 0;
  for (const auto& evaluation : evaluations)
    sum += evaluation.metrics.empty() ? -evaluation.loss : evaluation.metrics.front().value;
  return sum / static_cast<double>(evaluations.size());
}

std::string WhyNoScore(const std::vector<Evaluation>& evaluations) {
  for (const auto& evaluation : evaluations)
    if (!evaluation.failure.empty()) return evaluation.failure;
  return "";
}

void Copy(const models::Weights& from, const models::Weights& to) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : from) to.at(name).detach().copy_(tensor.detach());
}

Student MakeStudent(const Job& job, const Member& member) {
  distill::AddOwnProjections(job.recipe.objective(), member.models);
  Student student{.member = &member, .weights = WeightsOf(member, job.sources)};
  for (size_t s = 0; s < job.sources.size(); ++s) {
    const TrainingTask& source = job.sources[s];
    const models::Model& model = *member.models[s];
    const bool labelled =
        job.recipe.batching().has_masking() || (source.train != nullptr && source.train->classes > 0);
    student.objectives.emplace_back(job.recipe.objective(), model.shape, source.teacher, labelled);
    if (source.teacher != nullptr)
      distill::CheckProjection(job.recipe.objective(), model, source.teacher->shape.hidden,
                               "recipe.objective");
  }
  for (const auto& [name, tensor] : student.weights)
    student.parameters.push_back({.name = name, .value = tensor, .decay = optim::DecayByName(name)});
  student.optimizer = optim::MakeOptimizer(job.recipe.optimizer(), student.parameters);
  return student;
}

void CheckSources(const Job& job) {
  THIMBLE_CHECK(!job.sources.empty() && !job.members.empty(), "a job without data or members");
  std::set<std::string> tasks;
  for (const auto& source : job.sources) {
    if (source.train == nullptr) continue;
    THIMBLE_CHECK(!source.train->corpus || source.teacher_cache == nullptr, "a corpus has no teacher cache");
    THIMBLE_CHECK(
        job.sources.size() == 1 || (source.task != nullptr && tasks.insert(source.task->name).second),
        "mixed sources are tasks with different names");
    if (source.train->size() == 0) throw BadRequest(job.what, "there are no rows to train on");
  }
}

// Of batches that are all filled to one length.
void CheckPositions(const Job& job, const models::Model& model, const std::string& who) {
  if (PaddedLength(job.recipe) > model.shape.positions)
    throw BadRequest("recipe.batching.max_length",
                     "count_padding fills every batch to it, and " + who + " has fewer positions",
                     std::to_string(PaddedLength(job.recipe)),
                     "at most " + std::to_string(model.shape.positions));
}

// Both sets of rows, as the model would read them.
void CheckRows(const models::Model& model, const TrainingTask& source, const std::string& who) {
  for (const auto* data : {source.train, source.validate})
    if (data != nullptr) CheckFits(model, *data, who);
}

// Refuses what cannot be trained, before anything is made of it.
const Job& Checked(const Job& job) {
  CheckSources(job);
  THIMBLE_CHECK(job.recipe.precision() != proto::AUTO, "precision must be resolved before training");
  if (job.recipe.objective().loss_size() == 0)
    throw BadRequest("recipe.objective", "nothing to train towards", "no loss", "at least one loss { ... }");
  if (job.recipe.batching().has_masking())
    for (const auto& source : job.sources) {
      if (source.tokenizer == nullptr)
        throw BadRequest("recipe.batching.masking", "words are hidden in plain text alone");
      data::CheckMasking(*source.tokenizer, job.recipe.batching().masking());
    }
  if (job.recipe.keep() == proto::BEST)
    for (const auto& source : job.sources)
      if (source.validate == nullptr)
        throw BadRequest("recipe.keep", "the best epoch is told by validation rows, and there are none",
                         "BEST", "LAST");
  const auto& rule = optim::EntryOf(job.recipe.optimizer());
  if (!rule.needs_float32.empty() && job.recipe.precision() != proto::FLOAT32)
    throw BadRequest("recipe.precision", rule.name + " " + rule.needs_float32,
                     proto::Precision_Name(job.recipe.precision()), "FLOAT32");
  optim::CheckWarmup(job.recipe.optimizer(), job.recipe.schedule());
  std::set<std::string> names;
  for (const auto& member : job.members) {
    THIMBLE_CHECK(names.insert(member.name).second, "two members named " + member.name);
    THIMBLE_CHECK(member.models.size() == job.sources.size(), "a model for each source");
    THIMBLE_CHECK(member.first_epoch >= 0 && member.epochs >= 0, member.name + " joins before the run");
    CheckPositions(job, *member.models.front(), member.name);
    for (size_t s = 0; s < job.sources.size(); ++s) CheckRows(*member.models[s], job.sources[s], member.name);
  }
  for (const auto& source : job.sources) {
    if (source.teacher == nullptr) continue;
    CheckPositions(job, *source.teacher, "the teacher");
    CheckRows(*source.teacher, source, "the teacher");
  }
  return job;
}

TaskSampler SamplerOf(const Job& job) {
  std::vector<TaskSampler::Part> parts;
  for (const auto& source : job.sources) parts.push_back({source.train, source.weight});
  return TaskSampler(parts, job.mix_exponent, job.recipe.batching(), job.recipe.seed());
}

class Cohort {
 public:
  explicit Cohort(const Job& job);
  ~Cohort();
  std::vector<MemberResult> Run();

 private:
  // A batch with what all members need of it.
  struct Part {
    size_t source;
    int64_t number;  // of the run, from 0
    int64_t rows;
    models::Batch batch;
    std::optional<models::Outputs> teacher;
    std::vector<std::optional<models::ResolvedArchitecture>> views;  // one for each member
  };

  void RunEpoch(Progress* progress);
  Part Take(int64_t batch);
  models::Batch BatchOf(size_t source, int64_t batch, const data::Dataset& data,
                        const std::vector<int>& rows) const;
  int64_t UpdateAll(int64_t group);  // one update of all from that many batches; their rows
  // Of one batch of a group. `shares`: of what each loss counts in the group, what is in the batch. False if
  // the member failed.
  bool AddGradient(size_t i, const Part& part, const std::vector<double>& shares, bool count);
  std::vector<std::vector<double>> Shares(int64_t group);  // of each batch of a group
  void Update(size_t i);
  void FinishEpoch();
  void Prune(std::vector<size_t> going_on);  // `going_on`: those that took the epoch
  std::optional<models::Outputs> TeacherOutputs(size_t source, const std::vector<int>& rows,
                                                const models::Batch& batch) const;
  void Fail(size_t i, const std::string& what);     // at the step that is being made
  void Stop(size_t i, const std::string& failure);  // the member leaves
  int64_t Batch() const { return state_.epoch * sampler_.batches() + state_.batch; }  // of the run
  int LastEpoch(size_t i) const {  // of the run, one past the member's last
    const Member& member = *students_[i].member;
    return member.first_epoch + (member.epochs > 0 ? member.epochs : job_.recipe.epochs());
  }
  // Updates of a member.
  int64_t Steps(size_t i) const {
    const int64_t group = job_.recipe.accumulate();
    return (sampler_.batches() + group - 1) / group * (LastEpoch(i) - students_[i].member->first_epoch);
  }
  double Share(size_t i) const;            // of its steps, 0 at the first, 1 at the last
  bool Takes(size_t i, int epoch) const {  // whether the epoch is one of the member's
    return students_[i].member->first_epoch <= epoch && epoch < LastEpoch(i);
  }
  bool Left(size_t i) const;          // and does not come back
  std::vector<size_t> Alive() const;  // those that step in this epoch
  bool Ended() const;                 // nobody steps in this epoch or a later one
  int64_t Rows(int epoch,
               int64_t batch);  // that all members together have learnt from by then; counts batch by batch
  double MeanLoss() const;
  bool ScoresEpochs() const { return job_.score_epochs || job_.prune || job_.recipe.keep() == proto::BEST; }
  void Save();
  std::vector<MemberTensors> Tensors() const;

  const Job& job_;
  const int threads_;
  const bool bfloat16_;
  const TorchThreads torch_threads_;
  Workers workers_;
  TaskSampler sampler_;
  std::vector<Student> students_;
  RunState state_;
  std::vector<TrainingEvents> events_;  // of each member, once it runs
  Identity identity_;                   // empty without a checkpoint
  Clock::time_point saved_ = Clock::now();
};

Cohort::Cohort(const Job& job)
    : job_(Checked(job)),
      threads_(Threads(job.deployment)),
      bfloat16_(job.recipe.precision() == proto::BFLOAT16),
      torch_threads_(threads_),
      workers_(job.members_threads, std::max(1, threads_ / std::max(1, job.members_threads))),
      sampler_(SamplerOf(job)) {
  for (const auto& member : job.members) {
    Student student = MakeStudent(job, member);
    student.weights.RequireGrad(true);
    student.optimizer->ZeroGradients();
    if (job.recipe.keep() == proto::BEST) student.best = student.weights.Clone();
    students_.push_back(std::move(student));
  }
  state_.members.resize(students_.size());
  if (!job.checkpoint.empty()) identity_ = IdentityOf(job);
}

Cohort::~Cohort() {
  for (auto& student : students_) {
    student.optimizer->ZeroGradients();
    student.weights.RequireGrad(false);
  }
}

std::vector<MemberTensors> Cohort::Tensors() const {
  std::vector<MemberTensors> tensors;
  for (const auto& student : students_)
    tensors.push_back({student.weights, student.optimizer.get(), student.best});
  return tensors;
}

void Cohort::Save() {
  if (!job_.checkpoint.empty()) WriteCheckpoint(job_.checkpoint, identity_, state_, Tensors());
  saved_ = Clock::now();
}

bool Cohort::Left(size_t i) const {
  const MemberResult& result = state_.members[i].result;
  return !result.failure.empty() || result.pruned || state_.epoch >= LastEpoch(i);
}

std::vector<size_t> Cohort::Alive() const {
  std::vector<size_t> alive;
  for (size_t i = 0; i < students_.size(); ++i)
    if (!Left(i) && Takes(i, state_.epoch)) alive.push_back(i);
  return alive;
}

bool Cohort::Ended() const {
  for (size_t i = 0; i < students_.size(); ++i)
    if (!Left(i)) return false;
  return true;
}

int64_t Cohort::Rows(int epoch, int64_t batch) {
  int64_t rows = 0;
  for (size_t i = 0; i < students_.size(); ++i) {
    const int first = students_[i].member->first_epoch, last = LastEpoch(i);
    if (epoch < first) continue;
    rows += (epoch < last ? sampler_.RowsBefore(epoch, batch) : sampler_.RowsBefore(last, 0)) -
            sampler_.RowsBefore(first, 0);
  }
  return rows;
}

double Cohort::MeanLoss() const {
  const auto alive = Alive();
  double sum = 0;
  for (const size_t i : alive) sum += state_.members[i].loss_sum / static_cast<double>(state_.batch);
  return alive.empty() ? std::nan("") : sum / static_cast<double>(alive.size());
}

std::vector<MemberResult> Cohort::Run() {
  int last = 0;
  for (size_t i = 0; i < students_.size(); ++i) last = std::max(last, LastEpoch(i));
  if (!job_.checkpoint.empty() &&
      ReadCheckpoint(job_.checkpoint, identity_, FormerIdentityOf(job_), &state_, Tensors()))
    Info(job_.what + ": going on after " + std::to_string(Batch()) + " of " +
         std::to_string(last * sampler_.batches()) + " batches");
  for (size_t i = 0; i < students_.size(); ++i)
    events_.emplace_back(students_[i].member->events, state_.members[i].result.steps, Steps(i));
  {
    Progress progress(job_.what + " (examples)", Rows(last, 0));
    while (!Ended()) RunEpoch(&progress);
  }
  for (size_t i = 0; i < students_.size(); ++i) {  // what the caller gets
    students_[i].optimizer->ShowAverage();
    if (state_.members[i].result.best_epoch > 0) Copy(students_[i].best, students_[i].weights);
  }
  std::vector<MemberResult> results;
  for (auto& member : state_.members) results.push_back(std::move(member.result));
  return results;
}

void Cohort::RunEpoch(Progress* progress) {
  THIMBLE_CHECK(state_.batch <= sampler_.batches(), "another number of batches");
  int64_t members = 0;
  for (size_t i = 0; i < students_.size(); ++i) members += Takes(i, state_.epoch) ? 1 : 0;
  int64_t done = Rows(state_.epoch, state_.batch);
  if (state_.batch > 0) progress->Update(done);
  while (state_.batch < sampler_.batches() && !Alive().empty()) {
    const int64_t group = std::min<int64_t>(job_.recipe.accumulate(), sampler_.batches() - state_.batch);
    done += UpdateAll(group) * members;
    state_.batch += group;
    progress->Update(done, "loss " + Format("%.4g", MeanLoss()));
    const bool interrupted = InterruptRequested();
    const double age = std::chrono::duration<double>(Clock::now() - saved_).count();
    if (interrupted || (state_.batch < sampler_.batches() && age >= job_.deployment.checkpoint_seconds()))
      Save();
    if (interrupted) throw Interrupted();
  }
  FinishEpoch();
}

void Cohort::FinishEpoch() {
  const auto alive = Alive();
  std::vector<std::vector<Evaluation>> evaluations(alive.size());  // of each member, one for each source
  for (const size_t i : alive) students_[i].optimizer->ShowAverage();
  for (size_t s = 0; s < job_.sources.size() && !alive.empty(); ++s) {
    const TrainingTask& source = job_.sources[s];
    std::vector<Evaluation> scored(alive.size());
    if (source.validate != nullptr && ScoresEpochs()) {
      std::vector<Subject> subjects;
      for (const size_t i : alive)
        subjects.push_back(
            {.model = students_[i].member->models[s], .objective = &students_[i].objectives[s]});
      scored = EvaluateTogether(subjects, *source.validate, source.task,
                                {.teacher = source.teacher,
                                 .teacher_cache = source.validate_cache,
                                 .bfloat16 = bfloat16_,
                                 .padded_length = PaddedLength(job_.recipe),
                                 .teacher_logits = source.validate_logits},
                                &workers_);
    }
    for (size_t k = 0; k < alive.size(); ++k) {
      scored[k].answers.clear();  // an epoch keeps scores; the answers are many strings
      scored[k].answered.clear();
      scored[k].row_divergences.clear();
      evaluations[k].push_back(std::move(scored[k]));
    }
  }
  for (size_t k = 0; k < alive.size() && job_.recipe.keep() == proto::BEST; ++k) {
    if (!WhyNoScore(evaluations[k]).empty()) continue;
    auto& member = state_.members[alive[k]];
    const double value = Value(evaluations[k]);
    if (!(value > member.best)) continue;
    member.best = value;
    member.result.best_epoch = state_.epoch + 1 - students_[alive[k]].member->first_epoch;
    Copy(students_[alive[k]].weights, students_[alive[k]].best);
  }
  for (const size_t i : alive) students_[i].optimizer->HideAverage();
  for (size_t k = 0; k < alive.size(); ++k) {
    auto& member = state_.members[alive[k]];
    if (const std::string why = WhyNoScore(evaluations[k]); !why.empty()) {
      Stop(alive[k], "no score after epoch " + std::to_string(state_.epoch + 1) + ": " + why);
      continue;
    }
    member.result.epochs.push_back({.train_loss = member.loss_sum / static_cast<double>(sampler_.batches()),
                                    .validations = std::move(evaluations[k])});
    events_[alive[k]].EpochEnded(member.result.steps, member.result.epochs.back(), job_.sources);
    member.loss_sum = 0;
  }
  ++state_.epoch;
  state_.batch = 0;
  if (job_.prune) Prune(alive);
  Save();
}

void Cohort::Prune(std::vector<size_t> going_on) {
  std::erase_if(going_on, [&](size_t i) { return Left(i); });
  if (going_on.empty()) return;
  std::vector<MemberResult> results;
  for (const auto& member : state_.members) results.push_back(member.result);
  for (const size_t i : job_.prune(results, going_on)) {
    THIMBLE_CHECK(std::binary_search(going_on.begin(), going_on.end(), i),
                  "a member leaves that is not there");
    state_.members[i].result.pruned = true;
  }
}

std::optional<models::Outputs> Cohort::TeacherOutputs(size_t source, const std::vector<int>& rows,
                                                      const models::Batch& batch) const {
  // All members have the recipe's objective; what it looks at may depend on a member's shape.
  bool needed = false;
  models::ForwardOptions asked;
  for (const auto& student : students_) {
    const auto& objective = student.objectives[source];
    needed = needed || objective.needs_teacher();
    objective.Ask(&asked);
  }
  if (!needed) return std::nullopt;
  const TrainingTask& from = job_.sources[source];
  if (from.teacher_cache != nullptr) return from.teacher_cache->Get(rows);
  // Not inference mode: the losses' backward keeps what comes from here.
  const at::NoGradGuard no_grad;
  const Autocast autocast(bfloat16_);
  return Forward(*from.teacher, batch, ForLogits(*from.teacher, asked));
}

models::Batch Cohort::BatchOf(size_t source, int64_t batch, const data::Dataset& data,
                              const std::vector<int>& rows) const {
  const auto& batching = job_.recipe.batching();
  const int length = PaddedLength(job_.recipe);
  if (!batching.has_masking()) return MakeBatch(data, rows, length);
  // A row is a number in its block of a corpus; batches tell blocks apart.
  const Random random = Random(job_.recipe.seed())
                            .Fork("hidden words", static_cast<uint64_t>(state_.epoch))
                            .Fork("batch", static_cast<uint64_t>(batch));
  return MakeMaskedBatch(data, rows, *job_.sources[source].tokenizer, batching.masking(), random, length);
}

Cohort::Part Cohort::Take(int64_t batch) {
  const auto [source, rows] = sampler_.At(state_.epoch, batch);
  Part part{.source = source,
            .number = state_.epoch * sampler_.batches() + batch,
            .rows = static_cast<int64_t>(rows.rows->size()),
            .batch = BatchOf(source, batch, *rows.data, *rows.rows)};
  part.teacher = TeacherOutputs(source, *rows.rows, part.batch);
  for (const auto& student : students_) {
    const auto& view = student.member->view;
    part.views.push_back(view ? std::optional(view(part.number)) : std::nullopt);
  }
  return part;
}

// So that the group gives the gradient of one large batch: every row, token or masked token weighs the same,
// however many its batch has.
std::vector<std::vector<double>> Cohort::Shares(int64_t group) {
  const auto& objectives = students_.front().objectives;  // all members have the recipe's
  if (group == 1) return {std::vector<double>(objectives.front().names().size(), 1)};
  std::vector<std::vector<double>> shares;
  std::vector<double> whole(objectives.front().names().size(), 0);
  for (int64_t k = 0; k < group; ++k) {
    const int64_t batch = state_.batch + k;
    const auto [source, rows] = sampler_.At(state_.epoch, batch);
    shares.push_back(objectives[source].Things(BatchOf(source, batch, *rows.data, *rows.rows)));
    for (size_t i = 0; i < whole.size(); ++i) whole[i] += shares.back()[i];
  }
  for (auto& of_batch : shares)
    for (size_t i = 0; i < whole.size(); ++i) of_batch[i] /= std::max(whole[i], 1.0);
  return shares;
}

int64_t Cohort::UpdateAll(int64_t group) {
  const auto shares = Shares(group);
  std::optional<Part> part;
  int64_t rows = 0;
  bool first = true, again = false;
  do {
    std::vector<char> asks(students_.size(), 0);  // for another pass
    for (int64_t k = 0; k < group; ++k) {
      if (first || group > 1) part = Take(state_.batch + k);
      if (first) rows += part->rows;
      const auto alive = Alive();
      workers_.Run(alive.size(), [&](size_t j) {
        const size_t i = alive[j];
        auto& optimizer = *students_[i].optimizer;
        if (k == 0) optimizer.ZeroGradients();
        // The loss counts at the weights themselves, not where SAM or AdaHessian move them.
        if (!AddGradient(i, *part, shares[k], first) || k + 1 < group) return;
        if (optimizer.NextPass()) {
          asks[i] = 1;
        } else {
          Update(i);
        }
      });
    }
    first = false;
    again = std::any_of(asks.begin(), asks.end(), [](char asked) { return asked != 0; });
  } while (again);
  return rows;
}

void Cohort::Fail(size_t i, const std::string& what) {
  Stop(i, what + " at step " + std::to_string(state_.members[i].result.steps + 1));
}

void Cohort::Stop(size_t i, const std::string& failure) {
  auto& result = state_.members[i].result;
  result.failure = failure;
  students_[i].optimizer->GiveUpPasses();
  students_[i].optimizer->ZeroGradients();
  Warn(job_.what + ": " + students_[i].member->name + " stops, " + result.failure);
}

bool Cohort::AddGradient(size_t i, const Part& part, const std::vector<double>& shares, bool count) {
  Student& student = students_[i];
  const models::Model& model = *student.member->models[part.source];
  const distill::Objective& objective = student.objectives[part.source];
  // A stream of its own for each batch, so that a resumed run needs no saved one.
  Random random = Random(student.member->seed).Fork("dropout", static_cast<uint64_t>(part.number));
  const at::AutoGradMode with_grad(true);  // a mode of the thread
  at::Tensor total, added;
  std::vector<distill::LossSum> losses;
  {
    const Autocast autocast(bfloat16_);
    models::ForwardOptions asked{.candidate = part.views[i] ? &*part.views[i] : nullptr,
                                 .recompute = job_.deployment.recompute(),
                                 .dropout = {.probability = job_.recipe.dropout(), .random = &random}};
    objective.Ask(&asked);
    const auto outputs = Forward(model, part.batch, asked);
    const double share = Share(i);
    losses = objective.Compute(model, outputs, part.teacher ? &*part.teacher : nullptr, part.batch, share);
    total = objective.Total(losses, share);
    added = job_.recipe.accumulate() > 1 ? objective.Total(losses, shares, share) : total;
  }
  const double value = total.item<double>();
  if (!std::isfinite(value)) {
    Fail(i, "the loss is " + Format("%g", value));
    return false;
  }
  if (count) state_.members[i].loss_sum += value;
  if (const int64_t step = state_.members[i].result.steps + 1; count && events_[i].Tells(step))
    events_[i].Losses(step, value, objective.names(), losses);
  // Nothing depends on the weights where a progressive objective's layer has no loss.
  if (added.requires_grad()) added.backward();
  return true;
}

double Cohort::Share(size_t i) const {
  const int64_t step = state_.members[i].result.steps;
  return Steps(i) > 1 ? static_cast<double>(step) / static_cast<double>(Steps(i) - 1) : 1;
}

void Cohort::Update(size_t i) {
  Student& student = students_[i];
  auto& result = state_.members[i].result;
  const double clip = job_.recipe.clip_norm();
  const double norm = optim::ClipGradients(student.parameters, clip);
  if (!std::isfinite(norm)) return Fail(i, "the gradient norm is " + Format("%g", norm));
  // An update squares the gradients in float32.
  const double applied = clip > 0 ? std::min(clip, norm) : norm;
  if (applied * applied > std::numeric_limits<float>::max())
    return Fail(i, "the gradient norm of " + Format("%g", norm) + " is too large for float32");
  const double factor = optim::ScheduleFactor(job_.recipe.schedule(), result.steps, Steps(i));
  student.optimizer->Step(factor);
  student.optimizer->ZeroGradients();
  ++result.steps;
  if (events_[i].Tells(result.steps)) events_[i].Update(result.steps, norm, factor);
}

}  // namespace

void Check(const Job& job) {
  Checked(job);
  for (const auto& member : job.members) {
    std::vector<models::Model> copies;  // of the same tensors; own projections are added to the copies
    for (const auto* model : member.models) copies.push_back(*model);
    Member looked_at = member;
    for (size_t i = 0; i < copies.size(); ++i) looked_at.models[i] = &copies[i];
    MakeStudent(job, looked_at);
  }
}

std::vector<MemberResult> Train(const Job& job) {
  for (const auto& source : job.sources) THIMBLE_CHECK(source.train != nullptr, "a source without data");
  return Cohort(job).Run();
}

}  // namespace thimble::train
