#include "tools/run/recipes.h"

#include "base/config.h"
#include "optim/optimizer.h"
#include "proto/recipe.pb.h"
#include "train/precision.h"

namespace thimble::tools {

proto::Recipe MakeRecipe(const std::string& path, const proto::Recipe& standard, const Options& options,
                         std::optional<int> epochs, double learning_rate) {
  proto::Recipe recipe = standard;
  if (!path.empty()) ReadText(path, &recipe);
  if (epochs) recipe.set_epochs(*epochs);
  // Without a rule the recipe is refused below.
  if (learning_rate > 0 && recipe.optimizer().kind_case() != proto::Optimizer::KIND_NOT_SET)
    optim::SetBaseLearningRate(learning_rate, recipe.mutable_optimizer());
  for (const auto& assignment : options.set) Override(assignment, &recipe);
  Validate(recipe, path.empty() ? "recipe" : path);
  recipe.set_precision(train::ResolvePrecision(recipe.precision()));
  return recipe;
}

proto::Recipe FinetuneRecipe() {
  proto::Recipe recipe;
  ParseText(R"(
    epochs: 3
    objective { loss { hard_labels {} } }
    optimizer { adamw { learning_rate: 1e-4 } }
    schedule { linear { warmup_fraction: 0.1 } }
    dropout: 0.1
  )",
            "the standard fine-tuning recipe", &recipe);
  return recipe;
}

proto::Recipe DistilRecipe() {
  proto::Recipe recipe;
  ParseText(R"(
    epochs: 3
    objective { loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} } }
    optimizer { adamw { learning_rate: 4e-4 } }
    schedule { linear { warmup_fraction: 0.1 } }
  )",
            "the standard distillation recipe", &recipe);
  return recipe;
}

}  // namespace thimble::tools
