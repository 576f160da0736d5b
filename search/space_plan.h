// What StageSpace works out once: shared by the space*.cc, and by strategies that lay a budget out over its
// parts.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "models/arch/expression_sampling.h"
#include "search/feasible.h"
#include "search/space.h"

namespace thimble::search {

// What each layer may be, of as many as there may be at most: empty choices filled, heads among the mixers,
// ratios or widths.
std::vector<proto::LayerSpace> LayersOf(const proto::Space& space);

// What all architectures of a section share. Architecture.heads: those of the space where they divide the
// hidden width, else each mixer says its own.
int HeadsOf(const proto::Space& section);
models::ResolvedArchitecture MixerShape(
    const proto::Space& section);  // what mixers are checked and measured in
int FfnHidden(const proto::Space& section);
// Self-attention that takes the section's heads.
bool HasFreeHeads(const proto::Mixer& mixer);
// Empty choices are their defaults; widths stand in place of ratios, heads in mixers.
void Complete(const proto::Space& section, proto::LayerSpace* layer);

// What a block may be beside its stacks and its expression: the part that a stage calls RATIO (ratio, width
// or none), and its form.
std::vector<proto::FeedForward> InnerChoices(const proto::FeedForwardSpace& ffn);
// Whether its fields are those that a space varies.
bool InASpace(const proto::FeedForward& ffn);
proto::FeedForward InnerOf(const proto::FeedForward& ffn);
bool SameSize(const proto::FeedForward& a, const proto::FeedForward& b);  // ratio, width, or none
proto::BlockForm FormOf(const proto::FeedForward& ffn);
std::string FormText(const proto::BlockForm& form);  // "expression" of an empty one
proto::FeedForward MakeFeedForward(const proto::FeedForward& inner, int stacks,
                                   const std::string& expression);

// One layer as a stage sees it: what stands in its two places, one value each if the stage does not vary it.
struct LayerPlan {
  // Of a block stacks, and what InnerOf says; where there is no block stacks make no difference.
  struct Block {
    int stacks;
    proto::FeedForward inner;
  };

  std::vector<proto::Mixer> mixers;
  std::vector<int> stacks;
  std::vector<proto::FeedForward> inner;
  std::vector<Block> blocks;                             // of both, inner running fastest
  models::Expression base;                               // the expression of the stage's base
  std::optional<models::ExpressionSampler> expressions;  // if the stage varies expressions

  void ListBlocks();
  std::optional<size_t> MixerOf(const proto::Layer& layer) const;  // nothing: none of them
  std::optional<size_t> BlockOf(const proto::Layer& layer) const;  // likewise
};

// What the parts of a section's candidates cost under one limit.
struct PartCosts {
  double fixed = 0;                                 // of what all have
  std::vector<std::vector<double>> mixers, blocks;  // by layer, as LayerPlan has them

  std::pair<double, double> Range() const;  // of the cheapest candidate and of the costliest
};

// One hidden width, number of layers and embedding.
struct SectionPlan {
  struct Field {
    int layer;
    proto::Stage::Vary what;
  };

  proto::Architecture base;
  std::vector<LayerPlan> layers;
  std::vector<Field> fields;             // that have more than one value in this stage
  std::vector<PartCosts> costs;          // by limit
  size_t counted = 0;                    // the limit by which `points` are
  std::optional<FeasiblePoints> points;  // over mixer and block of each layer; nothing: `listed` are all
  std::vector<proto::Architecture> listed;

  bool Holds(const proto::Architecture& architecture) const;  // as IsOf
  double Points() const { return points ? points->feasible() : static_cast<double>(listed.size()); }
  proto::Architecture At(double index) const;
  proto::Architecture With(
      const std::vector<int>& choices) const;  // base, with these mixers and blocks in turn
  // Looked up where all layers are of this section's parts.
  double Cost(const proto::Architecture& architecture, const std::vector<Limit>& limits, size_t limit) const;
};

// Fills in costs, and the points within the limit that leaves least.
void CountPoints(const std::vector<Limit>& limits, SectionPlan* plan);

// The points of a space that is a list, and how many fields they differ in: hidden width, depth, embedding,
// and of each layer mixer, stacks, inner width, form and expression; layers are compared with those at the
// same height.
class Listing {
 public:
  explicit Listing(const std::vector<proto::Architecture>& listed);

  bool Has(const proto::Architecture& architecture) const;
  // One that is neither of `excluded`, drawn from those in the distance from `wanted` that is `step`-th of
  // all there are, from 0, or the last of them. nullopt if there is no other.
  std::optional<proto::Architecture> Near(const proto::Architecture& wanted,
                                          const std::vector<proto::Architecture>& excluded, uint64_t step,
                                          Random* random) const;

 private:
  struct Fields {
    std::array<uint64_t, 3> global;
    std::vector<std::array<uint64_t, 5>> layers;
  };
  static Fields FieldsOf(const proto::Architecture& architecture);
  static int Distance(const Fields& a, const Fields& b);

  std::vector<proto::Architecture> listed_;
  std::vector<Fields> fields_;
  std::unordered_map<std::string, size_t> places_;  // by canonical form
};

struct StageSpace::Plan {
  proto::Study study;
  proto::Stage stage;
  proto::Architecture base;
  SpaceContext context;
  std::vector<Limit> limits;  // one at least
  bool plain_bert = false;
  std::optional<Listing> list;             // of OfList
  std::vector<SectionPlan> sections;       // that have points
  std::vector<proto::Stage::Vary> global;  // HIDDEN, LAYERS, EMBEDDING: those with several values

  const SectionPlan* Find(const proto::Architecture& architecture) const;
  bool Keeps(const proto::Architecture& architecture) const;
};

// Another section's candidate that is as much as possible like `from`: of each layer the one at the same
// height.
proto::Architecture Moved(const proto::Architecture& from, const SectionPlan& to);

}  // namespace thimble::search
