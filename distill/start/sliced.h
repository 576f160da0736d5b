// The sliced start: a student that works before it is trained. The teacher is rotated into its principal
// directions, cut, and each block's output linear is refitted by least squares. Steps and notation:
// docs/sliced_start.md.
//
//   SlicedStart start(teacher, fit_batches, held_out_batches, options);   // one teacher pass over the sample
//   Model supernet = start.MakeSupernet(largest);                         // steps 1 to 8, once
//   Model student = start.MakeCandidate(supernet, architecture, &report); // crop, then refit; seconds
//
// After construction the methods are const and may run in several threads.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::proto {
class Sliced;
}

namespace thimble::distill {

struct BlockFit {
  std::string block;  // "embedding", "layer.3.attention", "layer.3.ffn.0"
  double before = 0;  // explained variance (R2) on held-out rows of the projected teacher state, sliced only
  double after = 0;   // with the refit; equal to `before` if the refit was refused
  bool refitted = false;
  std::string goal;  // what was taken: "sliced", "norm" (LayerNorm alone), or the goal of the linear's fit,
                     // "sum", "state", "lift"; "experts" of routed ones
};

// Shares of a teacher state's variance that a student of some width can hold.
struct CapturedVariance {
  std::string state;  // "embedding", "layer.3.attention", "layer.3.ffn"
  double shared = 0;  // in the directions that all states share, those of the sliced start
  double own = 0;     // in the state's own principal directions
};

struct SlicedReport {
  std::vector<BlockFit> blocks;
  std::vector<std::string>
      initialised;  // weights nothing of the teacher corresponds to, drawn from N(0, 0.02)
};

// Error (exit 2) if `teacher` is nothing that the sliced start can cut, or `student` nothing that it can cut
// from it: other vocabularies or pooler widths, bottlenecks, NoNorm. SlicedStart checks too, when it gets
// them.
void CheckSliceable(const models::ResolvedArchitecture& student, const models::Model& teacher);

// What cutting a teacher's blocks costs, by teacher layer: how much the teacher's answer changes, all blocks
// in one unit, when a block keeps its k most useful heads, k from 0, or k * neuron_step neurons. Refit error
// times the mean squared gradient of the teacher's answer at what the block writes.
struct Damages {
  std::vector<std::vector<double>> heads, neurons;
  int head_width = 0;
  int neuron_step = 0;
};

class SlicedStart {
 public:
  // Runs the teacher over the sample (real tokens only are used); warns if it is too small for regressions.
  // CHECK: at least one batch in each list. A ridge or token count of 0 is chosen by cross-validation when
  // the first supernet (or candidate) is made, with that student, for all that follow. `layer_map`: teacher
  // layer (from 1) of each student layer; empty: evenly spread, whatever the two depths.
  SlicedStart(const models::Model& teacher, const std::vector<models::Batch>& fit,
              const std::vector<models::Batch>& held_out, const proto::Sliced& options,
              std::vector<int> layer_map = {});
  ~SlicedStart();

  // Steps 1 to 8. Error if vocabulary or pooler width is not the teacher's, or `layer_map` does not fit the
  // depths. The result has the teacher's pooler units, its head, and fit_dense. `sort_heads`: its candidates
  // may have fewer heads, the first ones; heads that are all there then stand in another order than the
  // teacher's.
  models::Model MakeSupernet(const proto::Architecture& largest, uint64_t seed,
                             bool sort_heads = false) const;

  // The crop of `supernet` to `candidate`, refitted block by block unless the options say no. A refit that
  // does not raise the held-out R2 of its block is refused.
  models::Model MakeCandidate(const models::Model& supernet, const proto::Architecture& candidate,
                              SlicedReport* report = nullptr) const;

  // For students of that hidden width, worked out at its first use (docs/allocation.md). Error (exit 2) of a
  // teacher whose answers no gradient is known of: without a task head, or of masked tokens.
  Damages DamagesAt(int width) const;

  // How much is captured of each LayerNorm's output on the fit rows, for a student of that width.
  std::vector<CapturedVariance> Captured(int width) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::distill
