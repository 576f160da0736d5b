// What StageSpace works out once: shared by space.cc and space_sampling.cc only.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "models/arch/expression_sampling.h"
#include "search/feasible.h"
#include "search/space.h"

namespace thimble::search {

// What each layer may be: empty choices filled, heads among the mixers, ratios or widths.
std::vector<proto::LayerSpace> LayersOf(const proto::Space& space);

// The part of a block that a stage calls RATIO: ratio, width or none, no other field.
std::vector<proto::FeedForward> InnerChoices(const proto::FeedForwardSpace& ffn);
proto::FeedForward InnerOf(const proto::FeedForward& ffn);
proto::FeedForward MakeFeedForward(const proto::FeedForward& inner, int stacks, const std::string& expression);

// One layer as a stage sees it.
struct LayerPlan {
  std::vector<proto::Mixer> mixers;  // the values it may take, one if the stage does not vary it
  std::vector<int> stacks;           // likewise
  std::vector<proto::FeedForward> inner;  // likewise: ratio, width or none, no other field
  models::Expression base;                // the expression of the stage's base
  std::optional<models::ExpressionSampler> expressions;  // if the stage varies expressions

  // Combinations of the three, inner running fastest; where there is no block stacks make no difference.
  struct Choice {
    size_t mixer, stacks, inner;
  };
  std::vector<Choice> options;
  std::vector<int> places;  // in `options`, of every combination

  void ListOptions();  // fills in both
  std::optional<size_t> Option(const proto::Layer& layer) const;  // nothing: none of them
};

// A constraint on parameters.
struct ParameterLimit {
  int64_t fixed = 0;  // what every candidate of the stage has beside its layers, in the constraint's counting
  int64_t min = 0, max = kUnbounded;
};

struct StageSpace::Plan {
  struct Field {
    int layer;
    proto::Stage::Vary what;
  };

  proto::Study study;
  proto::Stage stage;
  proto::Architecture base;
  SpaceContext context;
  std::vector<LayerPlan> layers;
  std::vector<Field> fields;  // that have more than one value in this stage
  std::vector<ParameterLimit> limits;  // one at least: candidates are counted by the first
  std::vector<std::vector<int64_t>> costs;  // parameters of the layers' options, as in `points`
  std::optional<FeasiblePoints>
      points;  // over all layers' options

  proto::Architecture WithOptions(
      const std::vector<int>& options) const;  // base with these of the layers' options
  // Of all layers. Looked up where a layer is one of the stage's options, else traced.
  int64_t LayersParameters(const proto::Architecture& architecture) const;
};

}  // namespace thimble::search
