// What a student is trained towards. Each loss is a file in distill/losses and a line in distill/losses.inc.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::proto {
class Objective;
class Loss;
class HiddenStates;
}  // namespace thimble::proto

namespace thimble::distill {

// Sum over what was compared and how many things that were, so that uneven batches average exactly. Padding
// is in neither, unless the loss counts it.
struct LossSum {
  at::Tensor sum;  // [] float32
  double count = 0;
};

struct LossInput {
  const models::Model& student;  // for fit_dense
  const models::Outputs& student_outputs;
  const models::Outputs* teacher_outputs;  // nullptr: no teacher
  const models::Batch& batch;
  // Teacher layer (from 1) of each student layer; hidden[0] maps to hidden[0].
  const std::vector<int>& layer_map;
  int only_layer = -1;  // the one student layer (from 0) that counts; -1: all
  bool ComparesLayer(int layer) const { return only_layer < 0 || layer == only_layer; }
};

// Stateless; may be used from several threads. Compares in float32 whatever the autocast mode; gradients go
// to the student only.
class Loss {
 public:
  virtual ~Loss() = default;
  virtual LossSum Compute(const LossInput& input) const = 0;
  // What Compute's count of `batch` is in proportion to, whatever the models: known before they run, it says
  // how much of a larger batch a part of it is.
  virtual double Things(const models::Batch& batch) const = 0;
  // Which of the teacher's `layers` layers (from 0) it reads queries, keys and values of.
  virtual std::vector<int> ProjectionLayers(int /*layers*/) const { return {}; }
};

// What a loss on logits counts: rows, or of masked text the hidden words.
double AnswersIn(const models::Batch& batch);

struct LossEntry {
  std::string name{};  // oneof case in proto/objective.proto; set by Losses()
  // What it needs.
  bool scores = false, hidden = false, projections = false, logits = false, labels = false, teacher = true;
  bool equal_heads = false;  // student and teacher must have as many attention heads
  std::unique_ptr<Loss> (*make)(const proto::Loss&) = nullptr;
  // Further demands on the two models; `where` begins the Error's text.
  void (*check)(const proto::Loss&, const std::string& where, const models::Shape& student,
                const models::Shape& teacher) = nullptr;
};
const std::vector<LossEntry>& Losses();

// Teacher layer (from 1) for each student layer; empty `chosen`: uniform, i * teacher / student. Error if the
// uniform map needs a teacher depth that is no multiple of the student's (names the two and the explicit
// list), or a listed layer does not exist.
std::vector<int> LayerMap(int student_layers, int teacher_layers, const std::vector<int>& chosen);
// By the objective's list, else by its rule; an Error as well if the first or last layers are more than the
// teacher has.
std::vector<int> LayerMapOf(const proto::Objective& objective, int student_layers, int teacher_layers);

// The same; empty if the objective says nothing (no list, rule UNIFORM), which the sliced start takes for
// evenly spread whatever the depths.
std::vector<int> StatedLayers(const proto::Objective& objective, int student_layers, int teacher_layers);
// Rule NEAREST: i * teacher / student rounded to the nearest, at least 1, for any two depths. Layers may
// repeat.
std::vector<int> NearestLayers(int student_layers, int teacher_layers);

// Whether a loss compares the student's hidden state `state` of layers + 1, the embedding's output first.
bool ComparesState(const proto::HiddenStates& loss, int state, int layers);

// Error (exit 2) if a loss compares hidden states and the student has neither its teacher's width nor fit_dense. `where`: the objective's
// place in messages.
void CheckProjection(const proto::Objective& objective, const models::Model& student, int teacher_hidden,
                     const std::string& where);

// Gives a student fit_dense.S for each state S that a loss with own_projections compares: copies of fit_dense,
// where they are not there yet. `models`: of one student, sharing all but their heads; they share these too.
void AddOwnProjections(const proto::Objective& objective, const std::vector<models::Model*>& models);

// Whether one of its losses looks at padding.
bool CountsPadding(const proto::Objective& objective);

// The losses that need no task: what distillation on plain text trains on, as published (SYSTEMS.md A4). Of `masked` text
// all of them: hidden words are its labels. Error (`where`) if none is left.
proto::Objective ObjectiveOnText(const proto::Objective& objective, bool masked, const std::string& where);

class Objective {
 public:
  // Checks what can be known before work: a loss that needs a teacher, equal head counts for attention
  // scores, a head for soft labels, labels for hard ones. `teacher` may be nullptr. Errors say what to
  // change.
  Objective(const proto::Objective& spec, const models::Shape& student, const models::Model* teacher,
            bool labelled);
  ~Objective();
  Objective(Objective&&) noexcept;

  bool needs_scores() const, needs_hidden() const, needs_projections() const, needs_teacher() const;
  const std::vector<int>& projection_layers() const;  // of the teacher, from 0, rising
  void Ask(models::ForwardOptions* options) const;    // sets what a forward pass must return, of either model
  const std::vector<int>& layer_map() const;          // empty if no loss compares layers
  const std::vector<std::string>& names() const;      // of the losses, in order
  // After this share of all training steps; 1: at the end, which is what held-out losses are weighted by.
  std::vector<double> weights(double progress = 1) const;

  // One LossSum a loss, in order. The value to minimise is the weighted sum of sum/count: Total. `progress`: as of
  // weights(), where the objective is progressive; nothing: all layers are compared.
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
