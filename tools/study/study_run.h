// A study's two pieces of work: its search, and the student that is made of what was found. What `thimble
// search`, `thimble export` and toolkit/study.h share.
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/metrics/metrics.h"
#include "data/task.h"
#include "models/model.h"
#include "proto/deployment.pb.h"
#include "search/controller.h"
#include "tools/study/study_file.h"

namespace thimble::tools {

// Runs a study, or goes on with it. Errors: of the study scorer, of RunStudy; exit 2 if its directory cannot
// be written or another search has it. `dry_run`: checks everything and writes nothing; no results.
std::vector<search::StageResult> SearchStudy(const StudyFile& file, const proto::Deployment& deployment,
                                             bool dry_run);

// What was found so far. Error (exit 2) if nothing has run yet.
std::vector<search::StageResult> FoundSoFar(const StudyFile& file);

struct ExportRequest {
  std::string study;  // in messages
  std::string out;
  std::string target;  // of a study with several (TargetName)
  std::string trial;   // STAGE/NUMBER; empty: the best within the limits (tools/study/choice.h)
  int64_t max_params = INT64_MAX;
  double max_ms = INFINITY;        // batch 1, 128 tokens, 1 thread
  std::optional<int> epochs = {};  // of distillation; nothing: the recipe's
  bool uniform = false;            // instead a student of the same size whose layers are all alike
  bool int8 = false;               // model.int8.onnx, too
  bool force = false, dry_run = false;
};
// Distils the student that is asked for and writes its directory; its metrics on the dev rows. Errors (exit
// 2): of the choice, of `out`; if nothing has run yet. `dry_run`: says what it would write; no metrics.
std::vector<data::Metric> ExportStudent(const StudyFile& file, const proto::Deployment& deployment,
                                        const ExportRequest& request);

// Rows that eight bits are fitted to: a task's first training rows, one a batch.
std::vector<models::Batch> TypicalRows(const data::TaskEntry& task, const std::string& data,
                                       const std::string& model, int length, const std::string& cache);
void WriteInt8(const models::Model& model, std::vector<models::Batch> typical, const std::string& directory);

}  // namespace thimble::tools
