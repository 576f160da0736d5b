// What the commands that train one model share: the run itself, and how its result is written.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "proto/deployment.pb.h"
#include "proto/recipe.pb.h"
#include "tools/run/tasks.h"
#include "train/cohort.h"

namespace thimble::tools {

struct TrainingRun {
  std::string what;    // "fine-tuning"
  std::string member;  // "student": part of the checkpoint's identity
  const TaskMix& mix;
  const proto::Recipe& recipe;
  const proto::Deployment& deployment;
  const std::vector<TaskData>& data;  // of each part of the mix
  const Teachers& teachers;
  std::function<models::ResolvedArchitecture(int64_t batch)> view;  // Member::view
  std::vector<models::Model*> models;                               // of each part, sharing all but the head
  train::Start start;                                               // stands for their weights
  std::string tokenizer_directory, out;
  std::string how;                                                    // one sentence for the model card
  std::function<void(const std::string& directory)> write_more = {};  // further files beside each model's
};

// Error (exit 2) for what would be refused before the first step; the models' weights may have any values.
void Check(const TrainingRun& run);
// Trains the model, scores it on dev, writes it to `out` (one of a mix: to out/TASK each) and prints its
// metrics. A checkpoint and the teachers' outputs lie beside `out` while it runs. Error (exit 1) if training
// fails.
void TrainAndExport(const TrainingRun& run);

// One model, taught on plain text (Dataset::corpus).
struct TextRun {
  std::string member;  // as above
  std::function<models::ResolvedArchitecture(int64_t batch)> view;
  const proto::Recipe& recipe;
  const proto::Deployment& deployment;
  const data::Dataset* text;  // nullptr: not read yet, for Check
  const data::WordPiece& tokenizer;
  const models::Model& teacher;
  models::Model& learning;  // what is trained: the student, or its encoder under a head for masked tokens
  const models::Model& student;          // what is written, of the same tensors
  train::Start start;                    // as above
  std::vector<std::string> label_names;  // of its head, if it has one
  models::Settings settings;             // likewise
  std::string tokenizer_directory, out, how;
  std::function<void(const std::string& directory)> write_more = {};
};
void Check(const TextRun& run);
// Likewise; prints the losses of the epochs.
void TrainOnText(const TextRun& run);

void PrintWritten(const std::vector<data::Metric>& metrics, const std::string& out);

}  // namespace thimble::tools
