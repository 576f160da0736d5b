// The include rules of the folders, low to high:
//   proto < base < models, data, optim < distill, runtime < train < search < tools < bench, toolkit < tests
// Nobody includes upwards. It reads the includes of every source; the last tests show that it sees what it
// must refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/files.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::map<std::string, int> kLevels = {
    {"proto", 0}, {"base", 1},   {"models", 2}, {"data", 2},  {"optim", 2}, {"distill", 3}, {"runtime", 3},
    {"train", 4}, {"search", 5}, {"tools", 6},  {"bench", 7}, {"fuzz", 7},  {"toolkit", 7}, {"tests", 8}};
const char* const kPluginFolders[] = {
    "data/tasks/",       "distill/losses/",   "models/embeddings/",       "models/feed_forwards/",
    "models/mixers/",    "models/operators/", "models/attention_biases/", "optim/optimizers/",
    "search/strategies/"};
// Within models: architecture as data < what an encoder is < what computes, writes and reads it. What stands
// in models/ itself is of the last.
const std::map<std::string, int> kModelLevels = {
    {"arch", 0},       {"encoder", 1},   {"mixers", 1},          {"feed_forwards", 1},
    {"embeddings", 1}, {"operators", 1}, {"attention_biases", 1}};
constexpr int kTopOfModels = 2;

bool Under(const std::string& path, const std::string& folder) { return path.rfind(folder, 0) == 0; }
bool IsHeader(const std::string& path) { return fs::path(path).extension() == ".h"; }
std::string Top(const std::string& path) { return path.substr(0, path.find('/')); }
bool IsTorch(const std::string& include) {
  return Under(include, "torch/") || Under(include, "ATen/") || Under(include, "c10/");
}

// -1: not of models. A list is names alone: whoever needs them may read it.
int ModelLevel(const std::string& path) {
  if (!Under(path, "models/")) return -1;
  if (path.ends_with(".inc")) return 0;
  const std::string room = path.substr(std::string("models/").size());
  const auto found = kModelLevels.find(Top(room));
  return room.find('/') == std::string::npos || found == kModelLevels.end() ? kTopOfModels : found->second;
}

// Without LibTorch: a search, its strategies, and what they may know of models; and what all of these stand
// on.
bool IsTorchFree(const std::string& path) {
  return Under(path, "proto/") || Under(path, "base/") ||
         (Under(path, "models/") && ModelLevel(path) < kTopOfModels) ||
         (Under(path, "search/") && !Under(path, "search/evaluators/"));
}

// Why `path` must not include `include`, or empty. `quoted`: "..." rather than <...>.
std::string WhyForbidden(const std::string& path, const std::string& include, bool quoted) {
  if (IsTorch(include)) {
    if (IsTorchFree(path)) return "this folder is free of LibTorch";
    if (include == "torch/torch.h") return "ATen/ATen.h is half of it, and all that is needed";
    // Fixtures of tests are included by test programs alone, which have the precompiled header.
    if (IsHeader(path) && Top(path) != "tests" && include == "ATen/ATen.h")
      return "headers do not include ATen/ATen.h";
    return "";
  }
  const auto from = kLevels.find(Top(path)), to = kLevels.find(Top(include));
  if (to == kLevels.end() || include.find('/') == std::string::npos)
    return quoted ? "quoted includes name our files by their path from the root" : "";
  if (from->second < to->second) return Top(path) + " stands below " + Top(include);
  if (from->second == to->second && from->first != to->first)
    return Top(path) + " and " + Top(include) + " stand side by side";
  if (ModelLevel(path) >= 0 && ModelLevel(path) < ModelLevel(include))
    return path.substr(0, path.rfind('/')) + " stands below " + include;
  if (Under(path, "search/") && IsTorchFree(path)) {
    if (Under(include, "search/evaluators/")) return "only tools use search/evaluators";
    const bool structure = ModelLevel(include) >= 0 && ModelLevel(include) < kTopOfModels;
    if (from->second > to->second && to->second > kLevels.at("base") && !structure)
      return "a search knows models/arch and models/encoder, and nothing else of what it searches with";
  }
  return "";
}

// "path:line include: reason", one for each violation.
std::vector<std::string> Violations(const std::string& path, const std::string& text) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*(["<])([^">]+)[">])re");
  std::vector<std::string> found;
  for (const char* folder : kPluginFolders)
    if (Under(path, folder) && IsHeader(path)) found.push_back(path + ": plugin folders hold no headers");
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (!std::regex_search(line, match, kInclude)) continue;
    const std::string reason = WhyForbidden(path, match[2], match[1] == "\"");
    if (!reason.empty())
      found.push_back(path + ":" + std::to_string(number) + " " + match[2].str() + ": " + reason);
  }
  return found;
}

// Sources below the folders of kLevels, as paths from the root.
std::vector<std::string> Sources() {
  const fs::path root = THIMBLE_SOURCE_DIR;
  std::vector<std::string> paths;
  for (const auto& [folder, level] : kLevels) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (entry.is_regular_file() && (extension == ".h" || extension == ".cc" || extension == ".cu"))
        paths.push_back(fs::relative(entry.path(), root).generic_string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(Layering, SourcesKeepTheIncludeRules) {
  const std::vector<std::string> sources = Sources();
  EXPECT_GT(sources.size(), 50u);
  std::string all;
  for (const std::string& path : sources)
    for (const std::string& violation :
         Violations(path, ReadFile(std::string(THIMBLE_SOURCE_DIR) + "/" + path)))
      all += violation + "\n";
  EXPECT_EQ(all, "");
}

std::vector<std::string> OfOne(const std::string& path, const std::string& include) {
  return Violations(path, "// text\n#include " + include + "\n");
}

TEST(Layering, NamesFileLineAndInclude) {
  EXPECT_THAT(Violations("base/a.cc", "#include \"base/a.h\"\n\n  #  include \"train/cohort.h\"  // why\n"),
              ElementsAre("base/a.cc:3 train/cohort.h: base stands below train"));
  EXPECT_THAT(Violations("data/a.cc", "#include \"models/a.h\"\n#include \"optim/b.h\"\n"),
              testing::SizeIs(2));
}

TEST(Layering, RefusesWhatTheRulesForbid) {
  const std::vector<std::pair<std::string, std::string>> forbidden = {
      {"proto/descriptors.cc", "\"base/error.h\""},
      {"base/a.h", "\"models/model.h\""},
      {"base/a.cc", "<torch/torch.h>"},
      {"models/a.cc", "\"data/task.h\""},
      {"data/a.cc", "\"optim/optimizer.h\""},
      {"optim/optimizers/a.cc", "\"models/model.h\""},
      {"optim/a.cc", "\"distill/objective.h\""},
      {"distill/start/sliced.cc", "\"train/evaluate.h\""},
      {"train/cohort.cc", "\"search/space.h\""},
      {"search/evaluators/study_scorer.cc", "\"tools/report.h\""},
      {"tools/main.cc", "\"tests/fixture.h\""},
      {"tools/main.cc", "\"bench/bench.h\""},
      {"models/model.h", "<ATen/ATen.h>"},
      {"models/model.cc", "<torch/torch.h>"},
      {"models/encoder/cost.cc", "<ATen/core/Tensor.h>"},
      {"models/encoder/cost.cc", "\"models/weights.h\""},
      {"models/operators/a.cc", "\"models/torch/torch_ops.h\""},
      {"models/arch/operator.cc", "\"models/encoder/ops.h\""},
      {"search/store.cc", "<torch/torch.h>"},
      {"search/strategy.h", "<ATen/core/Tensor.h>"},
      {"search/strategies/a.cc", "<c10/util/Exception.h>"},
      {"search/strategies/a.cc", "\"models/model.h\""},
      {"search/controller.cc", "\"train/cohort.h\""},
      {"search/controller.cc", "\"distill/objective.h\""},
      {"search/space.h", "\"optim/optimizer.h\""},
      {"search/space.h", "\"data/task.h\""},
      {"search/space.cc", "\"search/evaluators/study_scorer.h\""},
      {"base/a.cc", "\"error.h\""},
      {"base/a.cc", "\"../train/cohort.h\""},
  };
  for (const auto& [path, include] : forbidden)
    EXPECT_THAT(OfOne(path, include), ElementsAre(HasSubstr(path + ":2"))) << include;
  for (const char* folder : kPluginFolders)
    EXPECT_THAT(Violations(std::string(folder) + "a.h", ""), ElementsAre(HasSubstr("no headers"))) << folder;
}

TEST(Layering, AllowsWhatTheRulesAllow) {
  const std::vector<std::pair<std::string, std::string>> allowed = {
      {"base/config.cc", "\"proto/options.pb.h\""},
      {"models/weights.h", "<ATen/core/Tensor.h>"},
      {"models/model.cc", "<ATen/ATen.h>"},
      {"models/model.h", "\"models/arch/architecture.h\""},
      {"models/torch/forward.cc", "\"models/encoder/encoder.h\""},
      {"models/encoder/encoder.cc", "\"models/arch/architecture.h\""},
      {"models/arch/operator.h", "\"models/operators/operators.inc\""},
      {"models/operators/a.cc", "\"models/encoder/ops.h\""},
      {"models/hub/pretrained.cc", "\"models/model.h\""},
      {"distill/objective.h", "\"models/model.h\""},
      {"train/cohort.cc", "\"optim/optimizer.h\""},
      {"search/space.h", "\"models/encoder/cost.h\""},
      {"search/store.cc", "\"base/files.h\""},
      {"search/strategies/a.cc", "\"search/strategy.h\""},
      {"search/evaluators/study_scorer.cc", "<ATen/ATen.h>"},
      {"search/evaluators/study_scorer.cc", "\"train/cohort.h\""},
      {"tools/main.cc", "\"search/evaluators/study_scorer.h\""},
      {"tests/search/a.cc", "\"tools/report.h\""},
      {"tests/models/fixture.h", "<ATen/ATen.h>"},
      {"base/log.cc", "<spdlog/spdlog.h>"},
      {"optim/optimizer.cc", "\"optim/optimizers.inc\""},
  };
  for (const auto& [path, include] : allowed)
    EXPECT_THAT(OfOne(path, include), IsEmpty()) << path << " " << include;
  EXPECT_THAT(Violations("base/a.cc", "// #include \"train/cohort.h\"\nint include;\n"), IsEmpty());
}

}  // namespace
}  // namespace thimble
