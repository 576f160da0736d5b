// A small learnable task and small models for the tests of train.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/random.h"
#include "data/dataset.h"
#include "data/task.h"
#include "models/arch/architecture.h"
#include "models/model.h"
#include "train/cohort.h"

namespace thimble::train {

constexpr int kVocabulary = 50;

// Rows of 5 to 20 tokens; the class is whether token 7 occurs.
inline data::Dataset ToyData(int rows, uint64_t seed) {
  data::Dataset data;
  data.classes = 2;
  data.hash = "toy " + std::to_string(rows) + " " + std::to_string(seed);
  Random random(seed);
  for (int r = 0; r < rows; ++r) {
    data::Example example;
    const int length = 5 + static_cast<int>(random.Below(16));
    for (int t = 0; t < length; ++t) {
      int32_t id = 8 + static_cast<int32_t>(random.Below(kVocabulary - 8));
      if (t == 0) id = 1;
      example.ids.push_back(id);
      example.segments.push_back(t < length / 2 ? 0 : 1);
    }
    example.label = static_cast<int>(random.Below(2));
    if (example.label == 1) example.ids[1 + random.Below(length - 1)] = 7;
    data.examples.push_back(example);
  }
  return data;
}

inline data::TaskEntry ToyTask() {
  data::TaskEntry task;
  task.name = "toy";
  task.labels = {"without", "with"};
  task.metrics = {"accuracy", "f1"};
  return task;
}

inline proto::Architecture ToyArchitecture(int hidden = 24, int stacks = 1, const std::string& ratio = "1",
                                           bool trigram = true) {
  const std::string layer =
      "layer { mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' "
      "stacks: " +
      std::to_string(stacks) + " ratio: '" + ratio + "' } } ";
  proto::Architecture architecture;
  ParseText("vocabulary: 50 positions: 32 heads: 4 ffn_hidden: 48 hidden: " + std::to_string(hidden) +
                (trigram ? " embedding { trigram { width: 8 } } " : " embedding { plain {} } ") + layer +
                layer,
            "toy architecture", &architecture);
  return architecture;
}

inline models::Model ToyModel(const proto::Architecture& architecture, uint64_t seed,
                              int teacher_hidden = 0) {
  return models::MakeModel(architecture, 2, teacher_hidden, Random(seed));
}

// Big enough weights that states and scores are not all alike.
inline models::Model ToyTeacher(uint64_t seed) { return ToyModel(ToyArchitecture(32, 1, "1", false), seed); }

inline proto::Recipe ToyRecipe(const std::string& losses, int epochs, const std::string& more = "",
                               const std::string& optimizer = "adamw { learning_rate: 3e-3 }") {
  proto::Recipe recipe;
  ParseText("precision: FLOAT32 batching { size: 8 max_length: 32 } epochs: " + std::to_string(epochs) +
                " optimizer { " + optimizer + " } objective { " + losses + " } " + more,
            "toy recipe", &recipe);
  return recipe;
}

inline const char kDistillation[] =
    "loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} } loss { hard_labels {} "
    "weight: 0.5 }";
inline const char kLabels[] = "loss { hard_labels {} }";

// Every weight's bytes, by name.
inline std::vector<std::string> Bytes(const models::Model& model) {
  std::vector<std::string> bytes;
  for (const auto& [name, tensor] : model.weights) {
    const at::Tensor values = tensor.detach().contiguous();
    bytes.push_back(name + ":" +
                    std::string(static_cast<const char*>(values.const_data_ptr()), values.nbytes()));
  }
  return bytes;
}

}  // namespace thimble::train
