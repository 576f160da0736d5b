#include "distill/objective.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/config.h"
#include "base/error.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

// The student's layers (from 0) of which a loss compares scores, or queries, keys and values.
std::vector<int> Compared(const LossEntry& entry, const proto::Loss& spec,
                          const models::ResolvedArchitecture& student) {
  const auto layers = static_cast<int>(student.layers.size());
  std::vector<int> compared;
  for (int i = 0; i < layers; ++i)
    if (entry.ComparesLayer(spec, i, layers)) compared.push_back(i);
  return compared;
}

void CheckProjections(const LossEntry& entry, const proto::Loss& spec, const std::string& where,
                      const models::ResolvedArchitecture& student) {
  for (const int i : Compared(entry, spec, student))
    if (!models::SizeOf(student, student.layers[i].mixer).projections)
      throw BadRequest(where,
                       "loss " + entry.name + " compares queries, keys and values, and the student's layer " +
                           std::to_string(i) + " has none",
                       models::TextOf(student.layers[i].mixer),
                       "a mixer that has them, or another loss in place of " + entry.name);
}

// One check a requirement; each says what to change.
void CheckLoss(const LossEntry& entry, const proto::Loss& spec, const std::string& where,
               const models::ResolvedArchitecture& student, const models::Model* teacher, bool labelled) {
  if (entry.teacher && teacher == nullptr)
    throw BadRequest(
        where, "loss " + entry.name + " needs a teacher", "none",
        "a teacher, or losses that need none: " + LossNames([](const LossEntry& e) { return !e.teacher; }));
  if (entry.labels && !labelled)
    throw BadRequest(where, "loss " + entry.name + " needs labelled data", "text without labels",
                     "labelled data, or losses that need none: " +
                         LossNames([](const LossEntry& e) { return !e.labels; }));
  if (entry.logits && entry.teacher && teacher->classes == 0)
    throw BadRequest(where, "loss " + entry.name + " needs a teacher with a task head",
                     "an encoder without one", "a teacher made by `thimble finetune DIR --task TASK`");
  if (entry.routing && std::none_of(student.layers.begin(), student.layers.end(),
                                    [](const models::LayerShape& layer) { return layer.ffn.has_routed(); }))
    throw BadRequest(where, "loss " + entry.name + " looks at routers, and the student has none",
                     models::TextOf(student.layers[0]), "ffn { ... routed {} } in a layer, or no such loss");
  if (entry.projections) CheckProjections(entry, spec, where, student);
  if (entry.check != nullptr) entry.check(spec, where + "." + entry.name, student, teacher->shape);
}

// That a layer which the loss compares has attention scores, and as many heads as its teacher layer. Layers
// without scores, the student's or the teacher's, are left out; a loss that compares none is refused.
void CheckScores(const LossEntry& entry, const proto::Loss& spec, const std::string& where,
                 const models::ResolvedArchitecture& student, const models::ResolvedArchitecture& teacher,
                 const std::vector<int>& layer_map) {
  const auto size = [](const models::ResolvedArchitecture& shape, int layer) {
    return models::SizeOf(shape, shape.layers[layer].mixer);
  };
  std::string without;
  bool compares = false;
  for (const int i : Compared(entry, spec, student)) {
    const int ours = entry.HeadsOf(size(student, i)), theirs = size(teacher, layer_map[i] - 1).heads;
    if (ours == 0 || theirs == 0) {
      if (without.empty())
        without = ours == 0 ? "the student's layer " + std::to_string(i + 1) + ": " +
                                  models::TextOf(student.layers[i].mixer)
                            : "the teacher's layer " + std::to_string(layer_map[i]) + ": " +
                                  models::TextOf(teacher.layers[layer_map[i] - 1].mixer);
      continue;
    }
    compares = true;
    if (entry.equal_heads && ours != theirs)
      throw BadRequest(
          where, "loss " + entry.name + " compares head with head",
          std::to_string(ours) + " heads in the student, " + std::to_string(theirs) + " in the teacher",
          "a student with heads: " + std::to_string(theirs) + ", or another attention loss in place of " +
              entry.name + " (or none)");
  }
  if (!compares)
    throw BadRequest(
        where, "loss " + entry.name + " compares attention scores, and no layer that it looks at has any",
        without, "a mixer that has them, hidden_states { states: MIXER }, or no " + entry.name);
}

}  // namespace

proto::Objective ObjectiveOnText(const proto::Objective& objective, bool masked, const std::string& where) {
  if (masked) return objective;
  proto::Objective kept = objective;
  kept.clear_loss();
  std::string left_out;
  for (const auto& loss : objective.loss()) {
    const LossEntry& entry = EntryOf(loss);
    if (entry.needs_task()) {
      left_out += (left_out.empty() ? "" : " and ") + entry.name;
    } else {
      *kept.add_loss() = loss;
    }
  }
  // Nothing is learnt of a balance alone.
  const auto compares = [](const proto::Loss& loss) { return EntryOf(loss).teacher; };
  if (std::none_of(kept.loss().begin(), kept.loss().end(), compares))
    throw BadRequest(where,
                     "plain text has no labels: the objective needs a loss on attention or hidden states",
                     left_out + " alone", "e.g. " + LossNames([](const LossEntry& e) {
                                            return !e.needs_task() && e.teacher;
                                          }) + "; or masked tokens: batching { masking {} }");
  return kept;
}

bool CountsPadding(const proto::Objective& objective) {
  return std::any_of(objective.loss().begin(), objective.loss().end(), [](const proto::Loss& loss) {
    const LossEntry& entry = EntryOf(loss);
    return entry.counts_padding != nullptr && entry.counts_padding(loss);
  });
}

struct Objective::Impl {
  std::vector<std::unique_ptr<Loss>> losses;
  std::vector<const LossEntry*> entries;
  std::vector<bool> reads_mixers;
  std::vector<std::string> names;
  std::vector<double> first_weights, last_weights;
  std::vector<int> layer_map, projection_layers;
  bool attention_logits = false, kernel_logits = false, hidden_states = false, projections = false,
       mixer_states = false, routing = false, teacher = false;
  bool progressive = false;
};

Objective::Objective(const proto::Objective& spec, const models::ResolvedArchitecture& student,
                     const models::Model* teacher, bool labelled)
    : impl_(std::make_unique<Impl>()) {
  Validate(spec, "objective");
  if (spec.loss_size() == 0)
    throw BadRequest("objective", "it has no loss", "", LossNames([](const LossEntry&) { return true; }));
  std::set<int> projection_layers;
  for (int i = 0; i < spec.loss_size(); ++i) {
    const LossEntry& entry = EntryOf(spec.loss(i));
    CheckLoss(entry, spec.loss(i), "objective.loss[" + std::to_string(i) + "]", student, teacher, labelled);
    impl_->losses.push_back(entry.make(spec.loss(i)));
    impl_->entries.push_back(&entry);
    impl_->reads_mixers.push_back(entry.ComparesMixers(spec.loss(i)));
    impl_->names.push_back(entry.name);
    const auto& loss = spec.loss(i);
    impl_->first_weights.push_back(loss.weight());
    impl_->last_weights.push_back(loss.has_final_weight() ? loss.final_weight() : loss.weight());
    impl_->attention_logits |= entry.attention_logits;
    impl_->kernel_logits |= entry.kernel_logits;
    impl_->mixer_states |= entry.ComparesMixers(loss);
    impl_->hidden_states |= entry.hidden_states && !entry.ComparesMixers(loss);
    impl_->projections |= entry.projections;
    impl_->routing |= entry.routing;
    if (entry.projections)
      for (const int layer :
           impl_->losses.back()->ProjectionLayers(static_cast<int>(teacher->shape.layers.size())))
        projection_layers.insert(layer);
    impl_->teacher |= entry.teacher;
  }
  impl_->projection_layers.assign(projection_layers.begin(), projection_layers.end());
  if (impl_->teacher && (impl_->attention_logits || impl_->hidden_states || impl_->mixer_states))
    impl_->layer_map = LayerMapOf(spec, static_cast<int>(student.layers.size()),
                                  static_cast<int>(teacher->shape.layers.size()));
  for (int i = 0; i < spec.loss_size(); ++i)
    if (impl_->entries[i]->attention_logits)
      CheckScores(*impl_->entries[i], spec.loss(i), "objective.loss[" + std::to_string(i) + "]", student,
                  teacher->shape, impl_->layer_map);
  impl_->progressive = spec.progressive();
  if (spec.progressive() && impl_->layer_map.empty())
    throw BadRequest("objective.progressive", "no loss compares layer by layer", "",
                     LossNames([](const LossEntry& e) { return e.attention_logits || e.hidden_states; }));
}

Objective::~Objective() = default;
Objective::Objective(Objective&&) noexcept = default;

bool Objective::needs_scores() const { return impl_->attention_logits; }
bool Objective::needs_hidden() const { return impl_->hidden_states; }
bool Objective::needs_mixers() const { return impl_->mixer_states; }
bool Objective::needs_projections() const { return impl_->projections; }
bool Objective::needs_teacher() const { return impl_->teacher; }
const std::vector<int>& Objective::projection_layers() const { return impl_->projection_layers; }
void Objective::Ask(models::ForwardOptions* options) const {
  options->attention_logits |= impl_->attention_logits;
  options->kernel_logits |= impl_->kernel_logits;
  options->hidden_states |= impl_->hidden_states;
  options->projections |= impl_->projections;
  options->mixer_states |= impl_->mixer_states;
  options->routing |= impl_->routing;
}
const std::vector<int>& Objective::layer_map() const { return impl_->layer_map; }
const std::vector<std::string>& Objective::names() const { return impl_->names; }
std::vector<double> Objective::weights(double progress) const {
  std::vector<double> weights;
  for (size_t i = 0; i < impl_->losses.size(); ++i)
    weights.push_back(impl_->first_weights[i] +
                      progress * (impl_->last_weights[i] - impl_->first_weights[i]));
  return weights;
}

std::vector<LossSum> Objective::Compute(const models::Model& student, const models::Outputs& outputs,
                                        const models::Outputs* teacher, const models::Batch& batch,
                                        std::optional<double> progress) const {
  LossInput input = {student, outputs, teacher, batch, impl_->layer_map};
  const auto phases = static_cast<int>(impl_->layer_map.size());
  if (impl_->progressive && progress)
    input.only_layer = std::min(phases - 1, static_cast<int>(*progress * phases));
  std::vector<LossSum> sums;
  for (size_t i = 0; i < impl_->losses.size(); ++i) {
    const LossEntry& entry = *impl_->entries[i];
    THIMBLE_CHECK(!entry.teacher || teacher != nullptr, entry.name + " without teacher outputs");
    const size_t layers = impl_->layer_map.size();
    if (entry.attention_logits)
      THIMBLE_CHECK(outputs.attention_logits.size() == layers,
                    entry.name + " without a score tensor a layer");
    if (entry.hidden_states && !impl_->reads_mixers[i])
      THIMBLE_CHECK(outputs.hidden_states.size() == layers + 1,
                    entry.name + " without a hidden state a layer");
    if (entry.projections)
      THIMBLE_CHECK(!outputs.projections.empty(), entry.name + " without queries, keys and values");
    if (entry.routing) THIMBLE_CHECK(!outputs.routing.empty(), entry.name + " without routing");
    if (entry.logits) THIMBLE_CHECK(outputs.logits.defined(), entry.name + " and a student without a head");
    if (entry.labels) THIMBLE_CHECK(batch.labels.defined(), entry.name + " without labels");
    sums.push_back(impl_->losses[i]->Compute(input));
  }
  return sums;
}

std::vector<double> Objective::Things(const models::Batch& batch) const {
  std::vector<double> things;
  for (const auto& loss : impl_->losses) things.push_back(loss->Things(batch));
  return things;
}

at::Tensor Objective::Total(const std::vector<LossSum>& sums, double progress) const {
  return Total(sums, std::vector<double>(sums.size(), 1), progress);
}

at::Tensor Objective::Total(const std::vector<LossSum>& sums, const std::vector<double>& shares,
                            double progress) const {
  THIMBLE_CHECK(sums.size() == impl_->losses.size() && shares.size() == sums.size(),
                "sums of another objective");
  const auto weights = this->weights(progress);
  at::Tensor total;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (sums[i].count == 0)
      continue;  // e.g. no word of the batch was hidden: its rows hold special tokens alone
    const at::Tensor part = sums[i].sum * (weights[i] * shares[i] / sums[i].count);
    total = total.defined() ? total + part : part;
  }
  return total.defined() ? total : at::zeros({});
}

}  // namespace thimble::distill
