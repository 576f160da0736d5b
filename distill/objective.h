// What a student is trained towards: a weighted sum of losses (distill/loss.h).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distill/layer_map.h"
#include "distill/loss.h"
#include "models/model.h"

namespace thimble::proto {
class Objective;
}

namespace thimble::distill {

// Whether one of its losses looks at padding.
bool CountsPadding(const proto::Objective& objective);

// The losses that need no task: what distillation on plain text trains on, as EfficientBERT does. Of
// `masked` text all of them: masked tokens are its labels. Error (`where`) if none is left.
proto::Objective ObjectiveOnText(const proto::Objective& objective, bool masked, const std::string& where);

class Objective {
 public:
  // Checks what can be known before work: a loss that needs a teacher, equal head counts for attention
  // scores, a head for soft labels, labels for hard ones. `teacher` may be nullptr. Errors say what to
  // change.
  Objective(const proto::Objective& spec, const models::ResolvedArchitecture& student,
            const models::Model* teacher, bool labelled);
  ~Objective();
  Objective(Objective&&) noexcept;

  bool needs_scores() const, needs_hidden() const, needs_projections() const, needs_mixers() const,
      needs_teacher() const;
  const std::vector<int>& projection_layers() const;  // of the teacher, from 0, rising
  void Ask(models::ForwardOptions* options) const;    // sets what a forward pass must return, of either model
  const std::vector<int>& layer_map() const;          // empty if no loss compares layers
  const std::vector<std::string>& names() const;      // of the losses, in order
  // After this share of all training steps; 1: at the end, which is what held-out losses are weighted by.
  std::vector<double> weights(double progress = 1) const;

  // One LossSum a loss, in order. The value to minimise is the weighted sum of sum/count: Total. `progress`:
  // as of weights(), where the objective is progressive; nothing: all layers are compared.
  std::vector<LossSum> Compute(const models::Model& student, const models::Outputs& outputs,
                               const models::Outputs* teacher, const models::Batch& batch,
                               std::optional<double> progress = {}) const;
  at::Tensor Total(const std::vector<LossSum>& sums, double progress = 1) const;
  // Of a part of a batch: what it adds to the Total of the whole. `shares`: of the things that each loss
  // counts in the whole, those that are in the part.
  at::Tensor Total(const std::vector<LossSum>& sums, const std::vector<double>& shares,
                   double progress) const;
  std::vector<double> Things(const models::Batch& batch) const;  // of each loss

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::distill
