// What StageSpace works out once: shared by space.cc and space_sampling.cc only.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "models/arch/expression_sampling.h"
#include "search/feasible.h"
#include "search/space.h"

namespace thimble::search {

// One layer as a stage sees it.
struct LayerPlan {
  std::vector<proto::Mixer> mixers;  // the values it may take, one if the stage does not vary it
  std::vector<int> stacks;           // likewise
  std::vector<std::string> ratio;  // likewise
  models::Expression base;         // the expression of the stage's base
  std::optional<models::ExpressionSampler> expressions;  // if the stage varies expressions
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
  std::optional<FeasiblePoints>
      points;  // over (mixer, stacks, ratio) of all layers, a layer's options with ratio running fastest

  proto::Architecture WithOptions(
      const std::vector<int>& options) const;  // base with these mixers, stacks and ratios
};

}  // namespace thimble::search
