#include "search/goals.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"

namespace thimble::search {
namespace {

constexpr int kLength = 128;  // tokens of the row whose multiply-adds are counted

Error NoLatency(const std::string& where) {
  return BadRequest(where,
                    "weighs latency, and the study does not limit it: of which rows, on how many threads?",
                    "LATENCY", "a constraint or target on latency, or another goal");
}

}  // namespace

std::function<double(const proto::Architecture&)> CostOf(Goal goal, const proto::Study& study,
                                                         const SpaceContext& context,
                                                         const std::string& where) {
  const auto shape = [](const proto::Architecture& architecture) { return models::Resolve(architecture); };
  const auto limit = [&](auto has) {
    return std::find_if(study.constraint().begin(), study.constraint().end(), has);
  };
  switch (goal) {
    case kParameters:
      return [=, classes = context.classes, head = context.head](const proto::Architecture& architecture) {
        return static_cast<double>(models::DeployedParameters(shape(architecture), classes, head));
      };
    case kMultiplyAdds:
      return [=, head = context.head](const proto::Architecture& architecture) {
        return static_cast<double>(models::MultiplyAdds(shape(architecture), kLength, head));
      };
    case kLatency: {
      const auto found = limit([](const proto::Constraint& each) { return each.has_latency(); });
      if (found == study.constraint().end()) throw NoLatency(where);
      return [spec = found->latency(), latency = context.latency](const proto::Architecture& architecture) {
        return latency ? latency(architecture, spec) : 0;
      };
    }
    case kBytes: {
      const auto found = limit([](const proto::Constraint& each) { return each.has_bytes(); });
      const auto file =
          found == study.constraint().end() ? proto::BytesConstraint::SAFETENSORS : found->bytes().file();
      return [=, classes = context.classes, head = context.head](const proto::Architecture& architecture) {
        const auto bytes = models::WrittenBytes(shape(architecture), classes, head);
        return static_cast<double>(file == proto::BytesConstraint::SAFETENSORS ? bytes.safetensors
                                   : file == proto::BytesConstraint::ONNX      ? bytes.onnx
                                                                               : bytes.onnx_int8);
      };
    }
    case kScore:
      break;
  }
  THIMBLE_CHECK(false, "a score is no cost by formula");
  return {};
}

void CheckGoal(Goal goal, const proto::Study& study, const std::string& where) {
  const auto limits = [](const proto::Constraint& each) { return each.has_latency(); };
  const bool always =
      std::any_of(study.constraint().begin(), study.constraint().end(), limits) ||
      (!study.target().empty() && std::all_of(study.target().begin(), study.target().end(), limits));
  if (goal == kLatency && !always) throw NoLatency(where);
}

std::string NameOf(Goal goal) {
  std::string name = proto::Nsga2::Goal_Name(goal);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace thimble::search
