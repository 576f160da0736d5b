#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "base/error.h"
#include "optim/groups.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {
constexpr double kPi = 3.14159265358979323846;
}

double WarmupFraction(const proto::Schedule& schedule) {
  const auto* field = KindField(schedule);
  if (field == nullptr) return schedule.linear().warmup_fraction();
  const auto& shape = schedule.GetReflection()->GetMessage(schedule, field);
  const auto* fraction = shape.GetDescriptor()->FindFieldByName("warmup_fraction");
  THIMBLE_CHECK(fraction != nullptr, field->name() + " has no warmup_fraction");
  return shape.GetReflection()->GetDouble(shape, fraction);
}

double ScheduleFactor(const proto::Schedule& schedule, int64_t step, int64_t steps) {
  const auto warmup = static_cast<int64_t>(WarmupFraction(schedule) * static_cast<double>(steps));
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  const double left =
      step < steps ? static_cast<double>(steps - step) / static_cast<double>(steps - warmup) : 0;
  switch (schedule.kind_case()) {
    case proto::Schedule::kConstant:
      return 1;
    case proto::Schedule::kCosine: {
      const double end = schedule.cosine().end();
      return end + (1 - end) * 0.5 * (1 - std::cos(kPi * left));
    }
    case proto::Schedule::kPolynomial: {
      const double end = schedule.polynomial().end();
      return end + (1 - end) * std::pow(left, schedule.polynomial().power());
    }
    case proto::Schedule::kInverseSqrt:
      return std::sqrt(static_cast<double>(std::max<int64_t>(1, warmup)) / static_cast<double>(step + 1));
    case proto::Schedule::kLinear:
    case proto::Schedule::KIND_NOT_SET:
      break;
  }
  return left;
}

}  // namespace thimble::optim
