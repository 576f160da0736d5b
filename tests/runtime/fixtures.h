// Small random models in directories, and what they are asked.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "models/hub/pretrained.h"
#include "runtime/runtime.h"
#include "tests/models/fixtures.h"

namespace thimble::runtime {

constexpr char kWords[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]"
    "\na\nheron\nstood\nin\nthe\nwater\nand\nwaited\nfor\nfog\nwhere\ndid\nit\n";

inline std::string MakeDirectory(const std::string& name, int classes,
                                 models::TaskHead head = models::TaskHead::kPooled,
                                 std::optional<double> null_threshold = {},
                                 const std::string& more = "segments: 2") {
  const std::string directory = testing::TempDir() + "/runtime_" + name;
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  auto model = models::MakeModel(
      models::Architecture(
          "vocabulary: 18 positions: 20 hidden: 12 heads: 3 embedding { trigram { width: 5 } } " + more +
          models::LayerText(models::kGeluBlock, 2)),
      classes, 0, Random(3), head);
  models::Shake(&model, 5);
  std::vector<std::string> labels;
  for (int i = 0; i < classes; ++i) labels.push_back("label" + std::to_string(i));
  models::SavePretrained(model, labels, directory, {.null_threshold = null_threshold});
  WriteFileAtomically(directory + "/vocab.txt", kWords);
  return directory;
}

inline void SayMultiLabel(const std::string& directory) {
  const std::string path = directory + "/config.json";
  auto config = nlohmann::json::parse(ReadFile(path));
  config["problem_type"] = "multi_label_classification";
  WriteFileAtomically(path, config.dump());
}

inline const std::vector<Input>& Inputs() {
  static const std::vector<Input> kInputs = {
      {"a heron"},
      {"the heron stood in the water", "it waited"},
      {"fog"},
      {"", "the fog waited"},
      {"a heron stood in the water and waited for the fog and stood in the water and waited for the fog"},
      {"the water"},
      {"where did it stood", ""}};
  return kInputs;
}

}  // namespace thimble::runtime
