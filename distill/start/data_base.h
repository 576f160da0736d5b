// Private to start/: every block of a student of one hidden width at every size (docs/allocation.md).
#pragma once
#include <vector>

#include "distill/start/basis.h"
#include "distill/start/sliced.h"
#include "distill/start/teacher_record.h"
#include "proto/study.pb.h"

namespace thimble::distill {

struct DataBase {
  Orders orders;    // that the surgeon leaves
  Damages damages;  // all 0 of a teacher whose sensitivities are not known
};

struct DataBaseInput {
  const models::Model& teacher;
  const TeacherRecord& record;
  const Basis& basis;              // of the width
  const std::vector<Target>& fit;  // by teacher LayerNorm
  const std::vector<Target>& held_out;
  double ridge = 0;
  const proto::Sliced& options;
};
// From a student with all of the teacher's layers, heads and neurons, refitted in order.
DataBase MakeDataBase(const DataBaseInput& input);

}  // namespace thimble::distill
