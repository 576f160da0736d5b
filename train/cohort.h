// The one training loop. K students step in lock-step on the same batches, so that one teacher pass serves
// all of them; a single student is a cohort of one; fine-tuning is a cohort without a teacher. A member's
// result depends on its own seed, when it joined, the recipe and the data only: not on its company, not on a
// kill and resume. Several tasks may be mixed in a run: a member is then one encoder with a head for each
// (train/task_sampler.h).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/task.h"
#include "data/text/wordpiece.h"
#include "models/model.h"
#include "proto/deployment.pb.h"
#include "proto/recipe.pb.h"
#include "train/evaluate.h"
#include "train/precision.h"
#include "train/teacher_cache.h"
#include "train/threads.h"

namespace thimble::train {

struct Member {
  std::string name;  // unique in the cohort; shown in messages
  // One for each source, trained in place; fit_dense is trained if it is there. Those of one member hold the
  // same tensors, but for the head.
  std::vector<models::Model*> models;
  uint64_t seed = 1;  // of its dropout (and of nothing else: data order comes from the recipe's seed)
  // View of a supernet for a batch of the run (from 0); empty: the whole model. Must be a pure function.
  std::function<models::ResolvedArchitecture(int64_t batch)> view;
  // Joins when that epoch of the run begins, and leaves after so many of its own; 0: Recipe.epochs. Its
  // schedules run over its own steps.
  int first_epoch = 0, epochs = 0;
  // Folder of what it says of its training for TensorBoard (train/training_events.h); empty: it says nothing.
  // No part of a checkpoint's identity.
  std::string events{};
};

// What one task brings to a run.
struct TrainingTask {
  const data::Dataset* train = nullptr;     // may be streamed (Dataset::corpus)
  const data::Dataset* validate = nullptr;  // scored after epochs (Job::score_epochs); nullptr: never
  const data::TaskEntry* task = nullptr;    // for metrics; nullptr: unlabelled text
  const models::Model* teacher = nullptr;
  const data::WordPiece* tokenizer = nullptr;  // of `train`, where recipe.batching.masking hides words
  // The teacher's outputs on `train` and on `validate`; nullptr: the teacher runs.
  const TeacherCache *teacher_cache = nullptr, *validate_cache = nullptr;
  // The teacher's of `validate` (Evaluation::logits): scores then have the divergence from it. nullptr: they
  // have none.
  const std::vector<std::vector<double>>* validate_logits = nullptr;
  double weight = 1;  // among the sources (train/task_sampler.h); above 0
};

struct Epoch {
  double train_loss = 0;                // mean of the objective over the epoch's batches
  std::vector<Evaluation> validations;  // one for each source; without numbers where it was not scored
};

// Where starting weights come from, as a checkpoint says it.
struct Start {
  std::string name;           // empty: it says nothing
  std::string formerly = {};  // what earlier versions said of the same start, where that was something else
};

struct MemberResult {
  std::string
      failure;  // why it was stopped early (NaN or Inf in loss or gradients); empty: finished or pruned
  bool pruned = false;        // by Job::prune
  std::vector<Epoch> epochs;  // all of them, also those before a resume
  int64_t steps = 0;          // updates
  int best_epoch = 0;         // whose weights it ends with (from 1), by Recipe.keep BEST; 0: the last
};

struct Job {
  std::string what;      // for the progress line: "fine-tuning mrpc"
  proto::Recipe recipe;  // precision must be resolved (ResolvePrecision), not AUTO
  proto::Deployment deployment;
  std::vector<TrainingTask> sources = std::vector<TrainingTask>(1);  // several: tasks with different names
  double mix_exponent = 1;                                           // of several: train/task_sampler.h
  std::vector<Member> members;
  // Whether validation rows are scored after every epoch; false: only where recipe.keep or `prune` asks for
  // it. It is no part of a checkpoint's identity.
  bool score_epochs = true;
  // Members that step at the same time, each with 1/members_threads of the threads however many members there
  // are; part of the study's stored choices, as the last bits of a matrix product depend on the threads that
  // share it.
  int members_threads = 1;
  // Asked after every epoch of the run which members leave here, of those that have taken it and have epochs
  // left: `going_on`, their numbers, rising. `members`: what all have so far. Must be a pure function. Empty:
  // nobody leaves.
  std::function<std::vector<size_t>(const std::vector<MemberResult>& members,
                                    const std::vector<size_t>& going_on)>
      prune;
  // File for exact resume, written every deployment.checkpoint_seconds and at each epoch's end, removed by
  // the caller. Empty: none. A checkpoint of another job (recipe, data, teacher, members, architectures) is
  // an Error, never silently used. The members' starting weights are not compared: a run that is resumed
  // takes them from the file. `start` is.
  std::string checkpoint;
  Start start;
};

// Error (exit 2) for what Train would refuse before its first step. Weights may have any values, and `train`
// of a source be missing: what needs its rows is then left to Train.
void Check(const Job& job);

// Throws Interrupted (after writing the checkpoint) when InterruptRequested().
std::vector<MemberResult> Train(const Job& job);

}  // namespace thimble::train
