// The recipe of a training run: a file's or a standard one, with what a command line changes of it.
#pragma once
#include <optional>
#include <string>

#include "proto/recipe.pb.h"
#include "tools/options.h"

namespace thimble::tools {

// The recipe of `path` (empty: `standard`), overridden by --epochs and --learning-rate (above 0)
// where a command has them, then by --set; validated, precision resolved.
proto::Recipe MakeRecipe(const std::string& path, const proto::Recipe& standard, const Options& options,
                         std::optional<int> epochs = {}, double learning_rate = 0);
proto::Recipe FinetuneRecipe();  // AdamW, 3 epochs, hard labels
proto::Recipe DistilRecipe();    // AdamW, 3 epochs, attention scores + hidden states + soft labels

}  // namespace thimble::tools
