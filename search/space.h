// A study's space at one stage: what may vary, what is fixed, and which points satisfy the constraints. No
// LibTorch.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "models/arch/head.h"
#include "proto/architecture.pb.h"
#include "proto/study.pb.h"

namespace thimble::search {

// What the formulas need beside the space.
struct SpaceContext {
  int classes = 2;         // of the task head, for DEPLOYED counting
  int teacher_hidden = 0;  // for PAPER counting and for Space.pooler = 0
  models::Head head = models::Head::kPooled;
};

// Checks Space beyond ranges: one block without `at`, no layer named twice or out of range, no value listed
// twice, parseable seeds that fit every ratio, valid ratios. Error (exit 2) with `where`. Called by
// StageSpace below and by describe.
void ValidateSpace(const proto::Space& space, const std::string& where);

// What layer `layer` (from 0) may be: its own block, or the one without `at`; empty choices filled with their
// defaults from the schema. Requires a valid space.
proto::LayerSpace LayerChoices(const proto::Space& space, int layer);


// The space's largest architecture: most stacks, largest ratio, seed expressions; of each kind of mixer the largest,
// those that are not a layer's first beside it. The supernet is built from it.
proto::Architecture LargestArchitecture(const proto::Space& space, const SpaceContext& context);
// Whether a layer may have fewer heads than the largest architecture: the supernet's stand in the order of their use.
bool ChoosesHeads(const proto::Space& space);
// First value of every choice, seed expressions: what a stage fixes when it has no `from`.
proto::Architecture SeedArchitecture(const proto::Space& space, const SpaceContext& context);

struct Feasibility {
  double points = 0;    // mixer x stacks x ratio combinations over all layers (expressions fixed)
  double feasible = 0;  // of them, within the parameter constraints; exact to 2^53, by dynamic programming
  // Parameters under the first constraint's counting (DEPLOYED without a constraint).
  int64_t smallest = 0, largest = 0;
};

// Immutable and cheap to copy.
class StageSpace {
 public:
  // `base` fixes what `stage` does not vary. Error (exit 2) if the constraints cannot be met by any point of
  // the stage.
  StageSpace(const proto::Study& study, const proto::Stage& stage, const proto::Architecture& base,
             const SpaceContext& context);

  const proto::Architecture& base() const;
  bool varies(proto::Stage::Vary what) const;
  bool Feasible(const proto::Architecture& architecture) const;  // constraints, by formula
  int64_t Count(
      const proto::Architecture& architecture) const;  // under the first parameter constraint's counting

  // A feasible point, varied fields drawn anew: mixers, stacks and ratios uniformly from the feasible combinations;
  // each expression by one to three mutations of the base's or as a random valid tree, half and half. There
  // always is one: the constructor has seen to it.
  std::optional<proto::Architecture> Sample(Random* random) const;
  // A feasible neighbour: one to three varied fields of random layers changed; different from `from` in
  // canonical form. nullopt when 200 tries found none.
  std::optional<proto::Architecture> Mutate(const proto::Architecture& from, Random* random) const;
  // Each layer from one of the two; feasible and different from both, or nullopt as above.
  std::optional<proto::Architecture> Crossover(const proto::Architecture& a, const proto::Architecture& b,
                                               Random* random) const;

  // The feasible points of a stage that does not vary expressions, in a fixed order; 0 points if it does vary
  // them.
  double Points() const;
  proto::Architecture Point(double index) const;  // index < Points()

  Feasibility CountFeasible() const;  // of mixers, stacks and ratios, whether or not the stage varies them

 private:
  struct Plan;
  std::shared_ptr<const Plan> plan_;
};

}  // namespace thimble::search
