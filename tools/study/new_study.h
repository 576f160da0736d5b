// The study files that `thimble init` writes, commented.
#pragma once
#include <string>
#include <vector>

#include "data/task.h"
#include "models/hub/pretrained.h"
#include "proto/study.pb.h"
#include "search/limits.h"

namespace thimble::tools {

// What both kinds of study say of teacher and data.
struct NewStudy {
  std::string directory, data, task, teacher, corpus, ready;  // as given; corpus and ready may be empty
  bool assume_label_order = false;
  int rows = 0;  // as given; 0: all
  size_t found_rows = 0;
  int length = 128;  // tokens of a row
  const data::TaskEntry& entry;
  const models::Pretrained& model;  // the teacher

  search::SpaceContext Context() const;
  int64_t Parameters() const;  // the teacher's, deployed
};

// How much is searched, in candidates, rows and epochs.
struct OperatorEffort {
  int joint, operators, shape, population, rows, lines, epochs;
  double keep;
};
// BatchReader-forward operators from coarse to fine in three stages, as EfficientBERT: one hidden width, the
// widest that fits.
std::string OperatorStudy(const NewStudy& study, const OperatorEffort& effort, int64_t max_parameters);

struct ShapeEffort {
  int judged, finalists, epochs;  // untrained students; those trained; epochs of those that stay
  int again = 0;                  // Stage.again of the trained ones
  int operators = 0;              // trained with other feed-forward operators, as a last stage; 0: none
  double minutes = 0;             // that it takes, by estimate
};
// Heads, inner widths, hidden width and depth: allocation untrained, then halving; if asked for, feed-forward
// operators of what was found. A student for each target.
std::string ShapeStudy(const NewStudy& study, const ShapeEffort& effort,
                       const std::vector<proto::Constraint>& targets);
// What fits into so many minutes, or the least that makes sense, for each target; `rows_a_second`: that the
// teacher reads on this machine.
ShapeEffort EffortWithin(const NewStudy& study, double minutes, bool operators,
                         const std::vector<proto::Constraint>& targets, double rows_a_second);

}  // namespace thimble::tools
