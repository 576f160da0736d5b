#include "train/cohort.h"

#include <torch/torch.h>

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
#include "distill/objective.h"
#include "optim/optimizer.h"
#include "train/checkpoint.h"
#include "train/feed.h"

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
  distill::Objective objective;
  optim::Parameters parameters;
  std::unique_ptr<optim::Optimizer> optimizer;
};

class Cohort {
 public:
  explicit Cohort(const Job& job);
  ~Cohort();
  std::vector<MemberResult> Run();

 private:
  void CheckJob() const;
  void RunEpoch(Progress* progress);
  void StepAll(const Feed::Rows& part);
  void Step(size_t i, const models::Batch& batch, const models::Outputs* teacher,
            const models::Shape* candidate);
  void FinishEpoch();
  std::optional<models::Outputs> TeacherOutputs(const std::vector<int>& rows,
                                                const models::Batch& batch) const;
  std::vector<size_t> Alive() const;
  double MeanLoss() const;
  void Save();
  std::vector<MemberTensors> Tensors() const;

  const Job& job_;
  const int threads_;
  const bool bfloat16_;
  const TorchThreads torch_threads_;
  Workers workers_;
  Feed feed_;
  std::vector<Student> students_;
  RunState state_;
  Identity identity_;  // empty without a checkpoint
  Clock::time_point saved_ = Clock::now();
};

Cohort::Cohort(const Job& job)
    : job_(job),
      threads_(Threads(job.deployment)),
      bfloat16_(job.recipe.precision() == proto::BFLOAT16),
      torch_threads_(threads_),
      workers_(job.members_threads, std::max(1, threads_ / std::max(1, job.members_threads))),
      feed_(*job.train, job.recipe.batching(), job.recipe.seed()) {
  CheckJob();
  optim::CheckWarmup(job.recipe.optimizer(), job.recipe.schedule());
  for (const auto& member : job.members) {
    Student student{.member = &member,
                    .objective = distill::Objective(job.recipe.objective(), member.model->shape, job.teacher,
                                                    job.train->classes > 0)};
    member.model->weights.RequireGrad(true);
    for (const auto& [name, tensor] : member.model->weights)
      student.parameters.push_back({.name = name, .value = tensor, .decay = optim::DecayByName(name)});
    student.optimizer = optim::MakeOptimizer(job.recipe.optimizer(), student.parameters);
    student.optimizer->ZeroGradients();
    students_.push_back(std::move(student));
  }
  state_.members.resize(students_.size());
  if (!job.checkpoint.empty()) identity_ = IdentityOf(job);
}

Cohort::~Cohort() {
  for (auto& student : students_) {
    student.optimizer->ZeroGradients();
    student.member->model->weights.RequireGrad(false);
  }
}

void Cohort::CheckJob() const {
  THIMBLE_CHECK(job_.train != nullptr && !job_.members.empty(), "a job without data or members");
  THIMBLE_CHECK(job_.recipe.precision() != proto::AUTO, "precision must be resolved before training");
  THIMBLE_CHECK(!job_.train->corpus || job_.teacher_cache == nullptr, "a corpus has no teacher cache");
  if (job_.train->size() == 0) throw BadRequest(job_.what, "there are no rows to train on");
  if (job_.recipe.objective().loss_size() == 0)
    throw BadRequest("recipe.objective", "nothing to train towards", "no loss", "at least one loss { ... }");
  if (job_.recipe.optimizer().has_adahessian() && job_.recipe.precision() != proto::FLOAT32)
    throw BadRequest("recipe.precision", "adahessian takes small differences of gradients",
                     proto::Precision_Name(job_.recipe.precision()), "FLOAT32");
  std::set<std::string> names;
  for (const auto& member : job_.members) {
    THIMBLE_CHECK(names.insert(member.name).second, "two members named " + member.name);
    CheckFits(*member.model, *job_.train, member.name);
  }
  if (job_.teacher != nullptr) CheckFits(*job_.teacher, *job_.train, "the teacher");
}

std::vector<MemberTensors> Cohort::Tensors() const {
  std::vector<MemberTensors> tensors;
  for (const auto& student : students_) tensors.push_back({student.member->model, student.optimizer.get()});
  return tensors;
}

void Cohort::Save() {
  if (!job_.checkpoint.empty()) WriteCheckpoint(job_.checkpoint, identity_, state_, Tensors());
  saved_ = Clock::now();
}

std::vector<size_t> Cohort::Alive() const {
  std::vector<size_t> alive;
  for (size_t i = 0; i < state_.members.size(); ++i)
    if (state_.members[i].result.failure.empty()) alive.push_back(i);
  return alive;
}

double Cohort::MeanLoss() const {
  const auto alive = Alive();
  double sum = 0;
  for (const size_t i : alive) sum += state_.members[i].loss_sum / static_cast<double>(state_.batch);
  return alive.empty() ? std::nan("") : sum / static_cast<double>(alive.size());
}

std::vector<MemberResult> Cohort::Run() {
  const int64_t batches = job_.recipe.epochs() * feed_.batches();
  if (!job_.checkpoint.empty() && ReadCheckpoint(job_.checkpoint, identity_, &state_, Tensors()))
    Say(job_.what + ": going on after " + std::to_string(state_.epoch * feed_.batches() + state_.batch) +
        " of " + std::to_string(batches) + " batches");
  {
    Progress progress(job_.what + " (examples)",
                      job_.recipe.epochs() * feed_.rows() * static_cast<int64_t>(students_.size()));
    while (state_.epoch < job_.recipe.epochs() && !Alive().empty()) RunEpoch(&progress);
  }
  for (auto& student : students_) student.optimizer->ShowAverage();  // what the caller gets
  std::vector<MemberResult> results;
  for (auto& member : state_.members) results.push_back(std::move(member.result));
  return results;
}

void Cohort::RunEpoch(Progress* progress) {
  THIMBLE_CHECK(state_.batch <= feed_.batches(), "another number of batches");
  const auto members = static_cast<int64_t>(students_.size());
  int64_t done = (state_.epoch * feed_.rows() + feed_.RowsBefore(state_.epoch, state_.batch)) * members;
  if (state_.batch > 0) progress->Update(done);
  while (state_.batch < feed_.batches() && !Alive().empty()) {
    const auto part = feed_.At(state_.epoch, state_.batch);
    StepAll(part);
    ++state_.batch;
    done += static_cast<int64_t>(part.rows->size()) * members;
    progress->Update(done, "loss " + Format("%.4g", MeanLoss()));
    const bool interrupted = InterruptRequested();
    const double age = std::chrono::duration<double>(Clock::now() - saved_).count();
    if (interrupted || (state_.batch < feed_.batches() && age >= job_.deployment.checkpoint_seconds()))
      Save();
    if (interrupted) throw Interrupted();
  }
  FinishEpoch();
}

void Cohort::FinishEpoch() {
  const auto alive = Alive();
  std::vector<Evaluation> evaluations(alive.size());
  if (job_.validate != nullptr && !alive.empty()) {
    std::vector<Subject> subjects;
    for (const size_t i : alive)
      subjects.push_back({.model = students_[i].member->model, .objective = &students_[i].objective});
    for (const size_t i : alive) students_[i].optimizer->ShowAverage();
    evaluations = EvaluateTogether(
        subjects, *job_.validate, job_.task,
        {.teacher = job_.teacher, .teacher_cache = job_.validate_cache, .bfloat16 = bfloat16_}, &workers_);
    for (const size_t i : alive) students_[i].optimizer->HideAverage();
    for (auto& evaluation : evaluations) {  // an epoch keeps scores; the answers are many strings
      evaluation.answers.clear();
      evaluation.answered.clear();
    }
  }
  for (size_t k = 0; k < alive.size(); ++k) {
    auto& member = state_.members[alive[k]];
    member.result.epochs.push_back({.train_loss = member.loss_sum / static_cast<double>(feed_.batches()),
                                    .validation = std::move(evaluations[k])});
    member.loss_sum = 0;
  }
  ++state_.epoch;
  state_.batch = 0;
  Save();
}

std::optional<models::Outputs> Cohort::TeacherOutputs(const std::vector<int>& rows,
                                                      const models::Batch& batch) const {
  const auto& objective = students_.front().objective;  // all members have the recipe's
  if (!objective.needs_teacher()) return std::nullopt;
  if (job_.teacher_cache != nullptr) return job_.teacher_cache->Get(rows);
  // Not inference mode: the losses' backward keeps what comes from here.
  const at::NoGradGuard no_grad;
  const Autocast autocast(bfloat16_);
  models::ForwardOptions asked;
  objective.Ask(&asked);
  return Forward(*job_.teacher, batch, asked);
}

void Cohort::StepAll(const Feed::Rows& part) {
  const models::Batch batch = MakeBatch(*part.data, *part.rows);
  const auto teacher = TeacherOutputs(*part.rows, batch);
  const auto alive = Alive();
  std::vector<std::optional<models::Shape>> views(alive.size());
  for (size_t k = 0; k < alive.size(); ++k) {
    const auto& view = students_[alive[k]].member->view;
    if (view) views[k] = view(state_.members[alive[k]].result.steps);
  }
  workers_.Run(alive.size(), [&](size_t k) {
    Step(alive[k], batch, teacher ? &*teacher : nullptr, views[k] ? &*views[k] : nullptr);
  });
}

void Cohort::Step(size_t i, const models::Batch& batch, const models::Outputs* teacher,
                  const models::Shape* candidate) {
  Student& student = students_[i];
  RunState::MemberState& state = state_.members[i];
  const models::Model& model = *student.member->model;
  const int64_t step = state.result.steps;
  const auto fail = [&](const std::string& what) {
    state.result.failure = what + " at step " + std::to_string(step + 1);
    student.optimizer->GiveUpPasses();
    student.optimizer->ZeroGradients();
    Warn(job_.what + ": " + student.member->name + " stops, " + state.result.failure);
  };

  const int64_t steps = feed_.batches() * job_.recipe.epochs();
  const double progress = steps > 1 ? static_cast<double>(step) / static_cast<double>(steps - 1) : 1;
  double loss = 0;  // at the weights themselves, not where SAM or AdaHessian move them
  bool again = false;
  do {
    student.optimizer->ZeroGradients();
    // A stream of its own for each step, so that a resumed run needs no saved one.
    Random random = Random(student.member->seed).Fork("dropout", static_cast<uint64_t>(step));
    const at::AutoGradMode with_grad(true);  // a mode of the thread
    at::Tensor total;
    {
      const Autocast autocast(bfloat16_);
      models::ForwardOptions asked{
          .candidate = candidate, .dropout = {.probability = job_.recipe.dropout(), .random = &random}};
      student.objective.Ask(&asked);
      const auto outputs = Forward(model, batch, asked);
      total = student.objective.Total(student.objective.Compute(model, outputs, teacher, batch), progress);
    }
    const double value = total.item<double>();
    if (!std::isfinite(value)) return fail("the loss is " + Format("%g", value));
    if (!again) loss = value;
    total.backward();
    total.reset();  // frees the graph before the optimizer works
    again = student.optimizer->NextPass();
  } while (again);
  const double clip = job_.recipe.clip_norm();
  const double norm = optim::ClipGradients(student.parameters, clip);
  if (!std::isfinite(norm)) return fail("the gradient norm is " + Format("%g", norm));
  // An update squares the gradients in float32.
  const double applied = clip > 0 ? std::min(clip, norm) : norm;
  if (applied * applied > std::numeric_limits<float>::max())
    return fail("the gradient norm of " + Format("%g", norm) + " is too large for float32");
  student.optimizer->Step(
      optim::ScheduleFactor(job_.recipe.schedule(), step, steps));
  student.optimizer->ZeroGradients();
  state.loss_sum += loss;
  ++state.result.steps;
}

}  // namespace

std::vector<MemberResult> Train(const Job& job) { return Cohort(job).Run(); }

}  // namespace thimble::train
