// Where a student begins: cut out of its teacher (the sliced start), drawn at random, or where an earlier run
// left it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/hub/pretrained.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"
#include "tools/run/sliced_report.h"
#include "train/cohort.h"

namespace thimble::tools {

struct StudentRequest {
  std::string teacher;       // directory
  std::string architecture;  // file; of a student that is cut or drawn
  std::string student;       // directory of an earlier one; empty: cut or drawn
  std::string subnets;       // study, directory or file: the student is a supernet of its space
  std::string sample;        // pattern of text files for the sliced start; empty: rows of what is learnt
  bool random = false;
};

// What is known of a student before any work; each file is read once.
struct StudentPlan {
  StudentRequest request;
  proto::Architecture architecture;
  std::optional<models::Pretrained> earlier;  // what request.student names
  std::optional<proto::Study> study;          // what request.subnets names
};
// Error (exit 2) unless exactly one of `architecture`, `student` and `subnets` is given (the last two may be:
// an earlier supernet of that space goes on), `random` not with a `student`, or if the vocabulary is not the
// teacher's, or the sliced start cannot make this student.
StudentPlan PlanStudent(const StudentRequest& request, const models::Pretrained& teacher);

struct Beginning {
  models::Pretrained student;  // with fit_dense
  models::Weights mlm_head;    // of its head for masked tokens, where an earlier phase left one
  // Stands for the weights, in a checkpoint's identity: a run that is repeated with another start does not go
  // on from it.
  train::Start start;
};
// What takes no time: a student that goes on or is drawn. One that is to be cut has its shapes, and numbers
// of no meaning.
Beginning BeginStudent(const StudentPlan& plan, const models::Pretrained& teacher,
                       const proto::Recipe& recipe, const proto::Sliced& options);
// Cuts it, where it is to be cut. `rows`: of what is learnt, one dataset a task; the sliced start looks at
// the first of each.
void CutStudent(const StudentPlan& plan, const models::Pretrained& teacher,
                const std::vector<const data::Dataset*>& rows, const proto::Recipe& recipe,
                const proto::Sliced& options, int threads, SlicedRecord* record, Beginning* begin);

// The candidate of a supernet that batch `batch` trains, any feasible choice of stacks and ratios equally
// likely, expressions being the space's seeds. `name`: stands for the space and its
// limits.
struct Subnets {
  std::string name;
  std::function<models::ResolvedArchitecture(int64_t batch)> view;
};
Subnets SubnetsOf(const StudentPlan& plan, const models::Pretrained& teacher, uint64_t seed);

}  // namespace thimble::tools
