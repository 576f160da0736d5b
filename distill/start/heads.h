// Private to start/: a teacher's attention heads in a student that has another number of them, or others as
// wide.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "models/encoder/resolve.h"
#include "proto/architecture.pb.h"

namespace thimble::distill {

struct Heads {
  int64_t count = 0, width = 0;
};
Heads HeadsOf(const models::ResolvedArchitecture& shape,
              const proto::Mixer& mixer);  // none: of one without attention scores

// The teacher's heads in a student with another number of them: laid out side by side over the same range,
// those that a student head overlaps, each with the share of it that lies there.
struct HeadShare {
  int64_t head;
  double share;  // a teacher head's shares add up to 1
};
std::vector<std::vector<HeadShare>> ShareHeads(int64_t teacher_heads, int64_t student_heads);

}  // namespace thimble::distill
