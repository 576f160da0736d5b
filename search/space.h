// A study's space at one stage: what may vary, what is fixed, and which points satisfy the constraints. No
// LibTorch.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "proto/architecture.pb.h"
#include "proto/study.pb.h"
#include "search/limits.h"

namespace thimble::search {

// Checks Space beyond ranges: one block without `at`, no layer named twice or out of range, no value listed
// twice, heads that divide the hidden widths, parseable seeds that fit every width, valid ratios. Error (exit
// 2) with `where`. Called by StageSpace below and by describe.
void ValidateSpace(const proto::Space& space, const std::string& where);

// The space cut up by hidden width, number of layers and embedding: each has one value of these; the first
// values first. What follows reads spaces of one section, and of others the section of their first values
// unless it says otherwise.
std::vector<proto::Space> Sections(const proto::Space& space);
// Whatever says its defaults.
bool SameEmbedding(const proto::Embedding& a, const proto::Embedding& b);
bool IsOf(const proto::Space& section, const proto::Architecture& architecture);
// The one that `architecture` is of. CHECK: there is one.
proto::Space SectionOf(const proto::Space& space, const proto::Architecture& architecture);

// What layer `layer` (from 0, below the most that there may be) may be: its own block, or the one without
// `at`; empty choices filled with their defaults from the schema. Requires a valid space.
proto::LayerSpace LayerChoices(const proto::Space& space, int layer);

// The section's largest architecture: most stacks, largest ratio (with what all experts share), seed
// expressions in dense blocks; of each kind of mixer the largest, those that are not a layer's first beside
// it. The supernet is built from it.
proto::Architecture LargestArchitecture(const proto::Space& section, const SpaceContext& context);
// Whether a layer may have fewer heads than the largest architecture: the supernet's stand in the order of
// their use.
bool ChoosesHeads(const proto::Space& section);
// Whether a layer may have blocks that are no expression's dense ones: a supernet holds none of them.
bool HasForms(const proto::Space& space);
// First value of every choice, seed expressions: what a stage fixes when it has no `from`.
proto::Architecture SeedArchitecture(const proto::Space& space, const SpaceContext& context);

struct SectionPlan;  // search/space_plan.h

struct Feasibility {
  double points = 0;  // combinations of all choices but expressions, those fixed
  double feasible =
      0;  // of them, within one of the constraints, the tightest; exact to 2^53, by dynamic programming
  bool exact = true;  // false: costs were rounded up to be counted, there are more points
  int others = 0;     // further constraints, which were not counted
  // What points cost under the first constraint (parameters, DEPLOYED, without one), and its name.
  double smallest = 0, largest = 0;
  std::string cost;
};

// Immutable and cheap to copy.
class StageSpace {
 public:
  // `base` fixes what `stage` does not vary. Error (exit 2) if the constraints cannot be met by any point of
  // the stage.
  StageSpace(const proto::Study& study, const proto::Stage& stage, const proto::Architecture& base,
             const SpaceContext& context);
  // These architectures and no others, as the rows of a table: neighbours are those that differ in the fewest
  // fields. They vary in what stages vary; Error (exit 2) with `where` if they differ in anything else.
  // Sections offer what occurs in any of them.
  static StageSpace OfList(const std::vector<proto::Architecture>& listed, const SpaceContext& context,
                           const std::string& where);

  const proto::Architecture& base() const;
  const proto::Study& study() const;
  const SpaceContext& context() const;
  const std::vector<Limit>& limits() const;          // the study's; without any, one that keeps everything
  const std::vector<SectionPlan>& sections() const;  // that have points
  bool varies(proto::Stage::Vary what) const;
  bool Feasible(const proto::Architecture& architecture) const;  // constraints, by formula
  double Cost(const proto::Architecture& architecture) const;    // under the first constraint

  // A feasible point, varied fields drawn anew: hidden width, depth and embedding in proportion to what they
  // leave; mixers, stacks and ratios uniformly from the feasible combinations; each expression by one to
  // three mutations of the base's or as a random valid tree, half and half. nullopt if several constraints
  // leave so little that 200 draws within the tightest missed it.
  std::optional<proto::Architecture> Sample(Random* random) const;
  // A feasible neighbour: one to three varied fields of random layers changed; different from `from` in
  // canonical form. nullopt when 200 tries found none.
  std::optional<proto::Architecture> Mutate(const proto::Architecture& from, Random* random) const;
  // Each layer from one of the two; feasible and different from both, or nullopt as above. Of two depths:
  // nullopt.
  std::optional<proto::Architecture> Crossover(const proto::Architecture& a, const proto::Architecture& b,
                                               Random* random) const;
  // The feasible point that is most like `wanted`: itself, or of a list the one that differs in the fewest
  // fields, of several one by chance. nullopt where there is no list and it is not feasible.
  std::optional<proto::Architecture> Nearest(const proto::Architecture& wanted, Random* random) const;

  // The points of a stage that does not vary expressions, or of a list, in a fixed order; else 0 points.
  // Within the constraint that was counted: of several, Feasible says whether a point keeps the others.
  double Points() const;
  proto::Architecture Point(double index) const;  // index < Points()

  // Feasible students whose layers are all alike, with the base's first expression.
  std::vector<proto::Architecture> Uniform() const;

  Feasibility CountFeasible() const;  // of all choices but expressions, whether or not the stage varies them

 private:
  struct Plan;
  std::shared_ptr<const Plan> plan_;
};

}  // namespace thimble::search
