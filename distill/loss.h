// One loss: what a file in distill/losses implements. Its line stands in distill/losses.inc, its message in
// proto/objective.proto. Whatever others must know of it is in its entry.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/encoder/resolve.h"
#include "models/model.h"

namespace thimble::proto {
class Loss;
}

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

// What a loss on logits counts: rows, or of masked text the masked tokens.
double AnswersIn(const models::Batch& batch);

struct LossEntry {
  std::string name{};  // oneof case in proto/objective.proto; set by Losses()
  // What it needs. Logits and labels are a task's; of masked text the masked tokens are both.
  bool attention_logits = false, hidden_states = false, projections = false, logits = false, labels = false,
       teacher = true;
  bool kernel_logits = false;  // where a student's layer has no scores, a kernel's logarithm will do
  bool routing = false;        // the student must route tokens to experts
  bool of_batch = false;       // its sum is of a batch as a whole, not what its rows' sums add up to
  bool equal_heads = false;    // student and teacher must have as many attention heads
  std::unique_ptr<Loss> (*make)(const proto::Loss&) = nullptr;
  // Whether it compares scores, or queries, keys and values, of that student layer (from 0); nullptr: of all.
  bool (*compares_layer)(const proto::Loss&, int layer, int layers) = nullptr;
  // Whether it compares the student's hidden state `state` of layers + 1, the embedding's output first;
  // nullptr: all.
  bool (*compares_state)(const proto::Loss&, int state, int layers) = nullptr;
  // Whether it compares what the mixing blocks return (Outputs::mixer_states), of every layer, in place of
  // the layers' states; nullptr: it does not.
  bool (*mixer_states)(const proto::Loss&) = nullptr;
  // Whether each state that it compares has a projection of its own, fit_dense.S (projections.h); nullptr: it
  // has not.
  bool (*own_projections)(const proto::Loss&) = nullptr;
  // Linears of a student's last state, as wide as that, which it trains beside the student ("query":
  // fit_dense.query); nullptr: none.
  std::vector<std::string> (*own_linears)(const proto::Loss&) = nullptr;
  // Whether it looks at padding; nullptr: it does not. Batches are then filled to one length.
  bool (*counts_padding)(const proto::Loss&) = nullptr;
  // Further demands on the two models; `where` begins the Error's text.
  void (*check)(const proto::Loss&, const std::string& where, const models::ResolvedArchitecture& student,
                const models::ResolvedArchitecture& teacher) = nullptr;

  // Of how many heads it can compare what such a mixer attends to; 0: of none.
  int HeadsOf(const models::MixerSize& mixer) const {
    return mixer.heads > 0 || !kernel_logits ? mixer.heads : mixer.kernel_heads;
  }
  bool needs_task() const { return logits || labels; }
  bool ComparesLayer(const proto::Loss& spec, int layer, int layers) const {
    return (attention_logits || projections) &&
           (compares_layer == nullptr || compares_layer(spec, layer, layers));
  }
  std::vector<std::string> OwnLinears(const proto::Loss& spec) const {
    return own_linears == nullptr ? std::vector<std::string>() : own_linears(spec);
  }
  bool ComparesMixers(const proto::Loss& spec) const { return mixer_states != nullptr && mixer_states(spec); }
  bool ComparesState(const proto::Loss& spec, int state, int layers) const {
    return hidden_states && !ComparesMixers(spec) &&
           (compares_state == nullptr || compares_state(spec, state, layers));
  }
};
const std::vector<LossEntry>& Losses();
const LossEntry& EntryOf(const proto::Loss& loss);  // its kind is set
// Of those that are wanted, "a, b, c": for messages.
std::string LossNames(bool (*wanted)(const LossEntry&));

}  // namespace thimble::distill
