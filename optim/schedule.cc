#include <algorithm>

#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

double ScheduleFactor(const proto::Schedule& schedule, int64_t step, int64_t steps) {
  const bool constant = schedule.has_constant();
  const double fraction =
      constant ? schedule.constant().warmup_fraction() : schedule.linear().warmup_fraction();
  const auto warmup = static_cast<int64_t>(fraction * static_cast<double>(steps));
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (constant) return 1;
  if (step >= steps) return 0;
  return static_cast<double>(steps - step) / static_cast<double>(steps - warmup);
}

}  // namespace thimble::optim
