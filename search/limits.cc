#include "search/limits.h"

#include <cmath>

#include "base/error.h"
#include "base/number_text.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"

namespace thimble::search {
namespace {

std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// "9M", "750k".
std::string Counted(double count) {
  if (count >= 1e6) return Short(count / 1e6) + "M";
  return count >= 1e3 ? Short(count / 1e3) + "k" : Short(count);
}

const proto::Architecture& Teacher(const SpaceContext& context, const std::string& where) {
  if (!context.teacher)
    throw BadRequest(where, "is over the teacher's, and the teacher is not there", "",
                     "a teacher that is there, or a number");
  return *context.teacher;
}

void AddParameters(const proto::ParameterConstraint& spec, const SpaceContext& context, Limit* limit) {
  if (spec.min() > spec.max())
    throw BadRequest(limit->where + ".min", "is above max", std::to_string(spec.min()),
                     "up to " + std::to_string(spec.max()));
  const bool paper = spec.counting() == proto::PAPER;
  if (paper && context.teacher_hidden == 0)
    throw BadRequest(limit->where + ".counting",
                     "PAPER counts a projection to the teacher's width, which is not known", "",
                     "DEPLOYED, a teacher that is there, or teacher { hidden: WIDTH }");
  limit->what = "parameters (" + proto::Counting_Name(spec.counting()) + ")";
  limit->min = static_cast<double>(spec.min());
  limit->max = static_cast<double>(spec.max());
  limit->cost = [paper, context](const proto::Architecture& architecture) {
    const auto shape = models::Resolve(architecture);
    return static_cast<double>(paper ? models::PaperParameters(shape, context.teacher_hidden)
                                     : models::DeployedParameters(shape, context.classes, context.head));
  };
}

void AddMultiplyAdds(const proto::MultiplyAddsConstraint& spec, const SpaceContext& context, Limit* limit) {
  limit->what = "multiply-adds of " + std::to_string(spec.length()) + " tokens";
  limit->cost = [length = spec.length(), head = context.head](const proto::Architecture& architecture) {
    return static_cast<double>(models::MultiplyAdds(models::Resolve(architecture), length, head));
  };
  limit->max = spec.has_max()
                   ? static_cast<double>(spec.max())
                   : std::floor(limit->cost(Teacher(context, limit->where + ".speedup")) / spec.speedup());
}

void AddLatency(const proto::LatencyConstraint& spec, const SpaceContext& context, Limit* limit) {
  limit->what = "ms";
  limit->latency = spec;
  limit->whole = false;
  limit->by_expression = true;
  limit->cost = [spec, latency = context.latency](const proto::Architecture& architecture) {
    return latency(architecture, spec);
  };
  limit->max = spec.has_max_ms() ? spec.max_ms()
                                 : limit->cost(Teacher(context, limit->where + ".speedup")) / spec.speedup();
}

void AddBytes(const proto::BytesConstraint& spec, const SpaceContext& context, Limit* limit) {
  limit->what = "bytes (" + proto::BytesConstraint::File_Name(spec.file()) + ")";
  limit->max = static_cast<double>(spec.max());
  limit->cost = [file = spec.file(), context](const proto::Architecture& architecture) {
    const auto bytes = models::WrittenBytes(models::Resolve(architecture), context.classes, context.head);
    return static_cast<double>(file == proto::BytesConstraint::SAFETENSORS ? bytes.safetensors
                               : file == proto::BytesConstraint::ONNX      ? bytes.onnx
                                                                           : bytes.onnx_int8);
  };
}

}  // namespace

std::string Limit::Text(double cost) const {
  if (!whole) return FourDigits(cost);
  char text[40];
  std::snprintf(text, sizeof text, "%.0f", cost);
  return text;
}

std::vector<Limit> LimitsOf(const proto::Study& study, const SpaceContext& context) {
  std::vector<Limit> all;
  for (int i = 0; i < study.constraint_size(); ++i) {
    const auto& constraint = study.constraint(i);
    Limit limit;
    const std::string where = "constraint[" + std::to_string(i) + "].";
    switch (constraint.kind_case()) {
      case proto::Constraint::kParameters:
        limit.where = where + "parameters";
        AddParameters(constraint.parameters(), context, &limit);
        break;
      case proto::Constraint::kMultiplyAdds:
        limit.where = where + "multiply_adds";
        AddMultiplyAdds(constraint.multiply_adds(), context, &limit);
        break;
      case proto::Constraint::kLatency:
        if (!context.latency) continue;
        limit.where = where + "latency";
        AddLatency(constraint.latency(), context, &limit);
        break;
      case proto::Constraint::kBytes:
        limit.where = where + "bytes";
        AddBytes(constraint.bytes(), context, &limit);
        break;
      case proto::Constraint::kPlainBert:
      case proto::Constraint::KIND_NOT_SET:
        continue;
    }
    all.push_back(std::move(limit));
  }
  return all;
}

bool WantsPlainBert(const proto::Study& study) {
  for (const auto& constraint : study.constraint())
    if (constraint.has_plain_bert()) return true;
  return false;
}

std::string TargetName(const proto::Constraint& target) {
  if (target.has_multiply_adds())
    return target.multiply_adds().has_speedup()
               ? Short(target.multiply_adds().speedup()) + "x"
               : Counted(static_cast<double>(target.multiply_adds().max())) + "-multiply-adds";
  if (target.has_latency())
    return target.latency().has_speedup() ? Short(target.latency().speedup()) + "x"
                                          : Short(target.latency().max_ms()) + "ms";
  if (target.has_bytes()) return Counted(static_cast<double>(target.bytes().max())) + "B";
  if (target.has_plain_bert()) return "plain";
  return Counted(static_cast<double>(target.parameters().max()));
}

proto::Study OfTarget(const proto::Study& study, int target) {
  proto::Study one = study;
  one.clear_target();
  *one.add_constraint() = study.target(target);
  std::string suffix = "-" + TargetName(study.target(target));
  for (char& c : suffix)
    if (c == '.') c = '_';  // stages become part of file names
  for (auto& stage : *one.mutable_stage()) {
    stage.set_name(stage.name() + suffix);
    if (stage.has_from()) stage.set_from(stage.from() + suffix);
  }
  return one;
}

std::vector<proto::Study> TargetStudies(const proto::Study& study) {
  if (study.target().empty()) return {study};
  std::vector<proto::Study> all;
  for (int i = 0; i < study.target_size(); ++i) all.push_back(OfTarget(study, i));
  return all;
}

}  // namespace thimble::search
