#include "train/checkpoint.h"

#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "models/hub/safetensors.h"
#include "optim/optimizer.h"

namespace thimble::train {
namespace {

using Json = nlohmann::json;

constexpr char kMetadata[] = "thimble.checkpoint";
constexpr int kVersion = 4;

// JSON has no NaN and no infinity, and a loss can be both.
Json Number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double ReadNumber(const Json& json) {
  if (json.is_number()) return json.get<double>();
  const auto text = json.get<std::string>();
  if (text == "nan") return std::nan("");
  return text == "inf" ? HUGE_VAL : -HUGE_VAL;
}

Json Numbers(const std::vector<double>& values) {
  Json json = Json::array();
  for (const double value : values) json.push_back(Number(value));
  return json;
}

std::vector<double> ReadNumbers(const Json& json) {
  std::vector<double> values;
  for (const auto& value : json) values.push_back(ReadNumber(value));
  return values;
}

Json ToJson(const Evaluation& evaluation) {
  Json metrics = Json::array();
  for (const auto& metric : evaluation.metrics)
    metrics.push_back({{"name", metric.name},
                       {"value", Number(metric.value)},
                       {"standard_error", Number(metric.standard_error)}});
  Json json = {{"metrics", metrics},
               {"predicted", evaluation.predicted},
               {"loss_names", evaluation.loss_names},
               {"losses", Numbers(evaluation.losses)},
               {"loss", Number(evaluation.loss)},
               {"row_losses", Numbers(evaluation.row_losses)},
               {"loss_standard_errors", Numbers(evaluation.loss_standard_errors)},
               {"loss_standard_error", Number(evaluation.loss_standard_error)}};
  if (evaluation.divergence)
    json["divergence"] = {{"mean", Number(evaluation.divergence->mean)},
                          {"standard_error", Number(evaluation.divergence->standard_error)}};
  return json;
}

Evaluation ToEvaluation(const Json& json) {
  Evaluation evaluation;
  for (const auto& metric : json.at("metrics"))
    evaluation.metrics.push_back({metric.at("name").get<std::string>(), ReadNumber(metric.at("value")),
                                  ReadNumber(metric.at("standard_error"))});
  evaluation.predicted = json.at("predicted").get<std::vector<int>>();
  evaluation.loss_names = json.at("loss_names").get<std::vector<std::string>>();
  evaluation.losses = ReadNumbers(json.at("losses"));
  evaluation.loss = ReadNumber(json.at("loss"));
  evaluation.row_losses = ReadNumbers(json.at("row_losses"));
  evaluation.loss_standard_errors = ReadNumbers(json.at("loss_standard_errors"));
  evaluation.loss_standard_error = ReadNumber(json.at("loss_standard_error"));
  if (const auto divergence = json.find("divergence"); divergence != json.end())
    evaluation.divergence = Difference{.mean = ReadNumber(divergence->at("mean")),
                                       .standard_error = ReadNumber(divergence->at("standard_error"))};
  return evaluation;
}

Json ToJson(const RunState& state) {
  Json members = Json::array();
  for (const auto& member : state.members) {
    Json epochs = Json::array();
    for (const auto& epoch : member.result.epochs) {
      Json validations = Json::array();
      for (const auto& validation : epoch.validations) validations.push_back(ToJson(validation));
      epochs.push_back({{"train_loss", Number(epoch.train_loss)}, {"validations", std::move(validations)}});
    }
    members.push_back({{"failure", member.result.failure},
                       {"pruned", member.result.pruned},
                       {"steps", member.result.steps},
                       {"loss_sum", Number(member.loss_sum)},
                       {"best_epoch", member.result.best_epoch},
                       {"best", Number(member.best)},
                       {"epochs", epochs}});
  }
  return {{"epoch", state.epoch}, {"batch", state.batch}, {"members", members}};
}

RunState ToState(const Json& json) {
  RunState state{.epoch = json.at("epoch").get<int>(), .batch = json.at("batch").get<int64_t>()};
  for (const auto& saved : json.at("members")) {
    RunState::MemberState member;
    member.result.failure = saved.at("failure").get<std::string>();
    member.result.pruned = saved.value("pruned", false);
    member.result.steps = saved.at("steps").get<int64_t>();
    member.loss_sum = ReadNumber(saved.at("loss_sum"));
    member.result.best_epoch = saved.at("best_epoch").get<int>();
    member.best = ReadNumber(saved.at("best"));
    for (const auto& epoch : saved.at("epochs")) {
      member.result.epochs.push_back({.train_loss = ReadNumber(epoch.at("train_loss"))});
      for (const auto& validation : epoch.at("validations"))
        member.result.epochs.back().validations.push_back(ToEvaluation(validation));
    }
    state.members.push_back(std::move(member));
  }
  return state;
}

// Members are numbered, as their names may hold anything.
std::string WeightPrefix(size_t member) { return std::to_string(member) + "/weight/"; }
std::string BestPrefix(size_t member) { return std::to_string(member) + "/best/"; }
std::string OptimizerPrefix(size_t member) { return std::to_string(member) + "/optimizer/"; }

void RequireSameIdentity(const std::string& path, const Identity& saved, const Identity& wanted) {
  for (const auto& [part, value] : wanted) {
    const auto found = saved.find(part);
    if (found == saved.end() || found->second != value)
      throw BadRequest(path, "the checkpoint is of another run: its " + part + " differs",
                       found == saved.end() ? "none" : found->second,
                       value + " (or remove the file to start anew)");
  }
  for (const auto& [part, value] : saved)
    if (wanted.count(part) == 0)
      throw BadRequest(path, "the checkpoint is of another run: it has " + part, value);
}

// The file's tensor of that name, checked to be as `like`.
const at::Tensor& Find(const std::string& path, const models::TensorFile& file, const std::string& name,
                       const at::Tensor& like) {
  if (!file.tensors.Has(name)) throw BadRequest(path, "the checkpoint lacks the tensor \"" + name + "\"");
  const at::Tensor& tensor = file.tensors.at(name);
  if (tensor.sizes() != like.sizes() || tensor.scalar_type() != like.scalar_type())
    throw BadRequest(path, "the tensor \"" + name + "\" has another shape or type than this run's");
  return tensor;
}

}  // namespace

Identity IdentityOf(const Job& job) {
  Identity identity;
  identity["recipe"] = CanonicalText(job.recipe);
  if (!job.start.name.empty()) identity["start"] = job.start.name;
  for (const auto& source : job.sources) {
    const std::string of = job.sources.size() > 1 ? " of " + source.task->name : "";
    identity["training data" + of] = source.train->hash;
    identity["validation data" + of] = source.validate != nullptr ? source.validate->hash : "none";
    identity["task" + of] = source.task != nullptr ? source.task->name : "none";
    identity["teacher" + of] = source.teacher != nullptr ? source.teacher->weights.Hash() : "none";
    if (source.teacher_cache != nullptr) identity["teacher" + of] += ", outputs rounded to float16";
    if (job.sources.size() > 1)
      identity["weight" + of] = Json(source.weight).dump() + ", exponent " + Json(job.mix_exponent).dump();
  }
  for (size_t i = 0; i < job.members.size(); ++i) {
    const Member& member = job.members[i];
    const models::Model& model = *member.models[0];
    identity["member " + std::to_string(i)] =
        member.name + ", architecture " + models::ArchitectureHash(model.architecture) + ", " +
        std::to_string(model.classes) + " classes, fit_dense to " + std::to_string(model.teacher_hidden) +
        ", seed " + std::to_string(member.seed);
    if (member.first_epoch != 0 || member.epochs != 0)
      identity["member " + std::to_string(i)] +=
          ", epochs " + std::to_string(member.epochs) + " from " + std::to_string(member.first_epoch);
  }
  return identity;
}

Identity FormerIdentityOf(const Job& job) {
  if (job.start.formerly.empty()) return {};
  return {{"start", job.start.formerly}};
}

void WriteCheckpoint(const std::string& path, const Identity& identity, const RunState& state,
                     const std::vector<MemberTensors>& members) {
  models::Weights tensors;
  for (size_t i = 0; i < members.size(); ++i) {
    for (const auto& [name, tensor] : members[i].weights)
      tensors.Add(WeightPrefix(i) + name, tensor.detach());
    for (const auto& [name, tensor] : members[i].best) tensors.Add(BestPrefix(i) + name, tensor);
    for (const auto& [name, tensor] : members[i].optimizer->State())
      tensors.Add(OptimizerPrefix(i) + name, tensor);
  }
  const Json json = {{"version", kVersion}, {"identity", identity}, {"state", ToJson(state)}};
  models::WriteSafetensors(path, tensors,
                           {{kMetadata, json.dump(-1, ' ', false, Json::error_handler_t::replace)}});
}

bool ReadCheckpoint(const std::string& path, const Identity& identity, const Identity& formerly,
                    RunState* state, const std::vector<MemberTensors>& members) {
  if (!std::filesystem::exists(path)) return false;
  const models::TensorFile file = models::ReadSafetensors(path);
  const auto found = file.metadata.find(kMetadata);
  if (found == file.metadata.end()) throw BadRequest(path, "not a checkpoint of a training run");
  RunState read;
  try {
    const Json json = Json::parse(found->second);
    if (json.at("version").get<int>() != kVersion)
      throw BadRequest(path, "a checkpoint of another version of thimble", json.at("version").dump(),
                       std::to_string(kVersion));
    auto saved = json.at("identity").get<Identity>();
    for (const auto& [part, value] : formerly)
      if (saved[part] == value) saved[part] = identity.at(part);
    RequireSameIdentity(path, saved, identity);
    read = ToState(json.at("state"));
  } catch (const Json::exception& error) {
    throw BadRequest(path, std::string("the checkpoint's record cannot be read: ") + error.what());
  }
  if (read.members.size() != members.size() || read.epoch < 0 || read.batch < 0)
    throw BadRequest(path, "the checkpoint's record contradicts itself");

  // All tensors are looked at before the first is copied.
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;  // to, from
  std::vector<optim::NamedTensors> states;
  for (size_t i = 0; i < members.size(); ++i) {
    for (const auto& [name, tensor] : members[i].weights)
      copies.emplace_back(tensor, Find(path, file, WeightPrefix(i) + name, tensor));
    for (const auto& [name, tensor] : members[i].best)
      copies.emplace_back(tensor, Find(path, file, BestPrefix(i) + name, tensor));
    states.emplace_back();
    for (const auto& [name, tensor] : members[i].optimizer->State())
      states.back().emplace_back(name, Find(path, file, OptimizerPrefix(i) + name, tensor));
  }
  const at::NoGradGuard no_grad;
  for (auto& [to, from] : copies) to.copy_(from);
  for (size_t i = 0; i < members.size(); ++i) members[i].optimizer->LoadState(states[i]);
  *state = std::move(read);
  return true;
}

}  // namespace thimble::train
