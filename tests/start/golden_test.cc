// Uniform students of random shapes against a NumPy implementation in double precision. Expected numbers:
// tests/golden/sliced_start.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/hub/safetensors.h"
#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-4;  // of the largest value of a tensor
// Trials of a block that differ by less are the same weights by two names (a LayerNorm refitted to what it
// is), and the judge may take either. The next closest decision in the file is fourteen times as clear.
constexpr double kTie = 1e-6;

const char kGolden[] = THIMBLE_SOURCE_DIR "/tests/golden/sliced_start";

models::Batch MakeBatch(const json& rows, size_t begin, size_t end) {
  int64_t length = 0;
  for (size_t i = begin; i < end; ++i)
    length = std::max<int64_t>(length, static_cast<int64_t>(rows[i]["ids"].size()));
  const auto count = static_cast<int64_t>(end - begin);
  models::Batch batch{at::zeros({count, length}, at::kLong),
                      at::zeros({count, length}, at::kLong),
                      at::zeros({count, length}),
                      {}};
  for (int64_t row = 0; row < count; ++row) {
    const auto ids = rows[begin + row]["ids"].get<std::vector<int64_t>>();
    const auto n = static_cast<int64_t>(ids.size()), second = rows[begin + row]["second"].get<int64_t>();
    batch.ids[row].slice(0, 0, n).copy_(at::tensor(ids));
    batch.segments[row].slice(0, second, n).fill_(1);
    batch.mask[row].slice(0, 0, n).fill_(1);
  }
  return batch;
}

std::vector<models::Batch> MakeBatches(const json& rows, size_t size) {
  std::vector<models::Batch> batches;
  for (size_t begin = 0; begin < rows.size(); begin += size)
    batches.push_back(MakeBatch(rows, begin, std::min(rows.size(), begin + size)));
  return batches;
}

std::string Number(const json& value) { return std::to_string(value.get<int>()); }

proto::Architecture Architecture(const json& all, const json& shape, int stacks, int divisor) {
  std::string layer = " layer { mixer { self_attention {} } ffn { expression: 'linear(" +
                      shape["activation"].get<std::string>() +
                      "(linear(x,wb1)),wb2)' stacks: " + std::to_string(stacks) + " ratio: '1" +
                      (divisor > 1 ? "/" + std::to_string(divisor) : "") + "' } }";
  std::string text = "vocabulary: " + Number(all["vocabulary"]) + " positions: " + Number(all["positions"]) +
                     " hidden: " + Number(shape["hidden"]) + " heads: " + Number(shape["heads"]) +
                     " ffn_hidden: " + Number(shape["ffn_hidden"]) + " pooler: " + Number(all["hidden"]);
  text += shape["trigram"].get<int>() > 0
              ? " embedding { trigram { width: " + Number(shape["trigram"]) + " } }"
              : " embedding { plain {} }";
  for (int l = 0; l < shape["layers"].get<int>(); ++l) text += layer;
  proto::Architecture architecture;
  ParseText(text, "golden", &architecture);
  return architecture;
}

models::Model Teacher(const json& golden, const models::Weights& tensors) {
  json shape = golden;
  shape["activation"] = "gelu_erf";
  shape["trigram"] = 0;
  models::Model teacher = models::MakeModel(Architecture(golden, shape, 1, 1), golden["classes"].get<int>(),
                                            /*teacher_hidden=*/0, Random(1));
  for (const auto& [name, weight] : teacher.weights) weight.copy_(tensors.at("teacher." + name));
  return teacher;
}

class SlicedStartGoldenTest : public testing::Test {
 protected:
  // Largest difference between `got` and the tensor `name` of the golden file, over its largest value.
  double Off(const std::string& name, const at::Tensor& got) const {
    const at::Tensor& expected = tensors_.at(name);
    if (got.sizes() != expected.sizes()) return INFINITY;
    return ((got - expected).abs().max() / expected.abs().max()).item<double>();
  }

  // Hidden states as fit_dense shows them and logits, the worst of all.
  void ExpectStudent(const std::string& prefix, const models::Model& student) {
    std::vector<std::vector<at::Tensor>> hidden(student.shape.layers.size() + 1);
    std::vector<at::Tensor> logits;
    for (const models::Batch& batch : MakeBatches(golden_["shown"], 1)) {
      const models::Outputs outputs = models::Forward(student, batch, {.hidden_states = true});
      for (size_t i = 0; i < hidden.size(); ++i)
        hidden[i].push_back(models::Linear(student, "fit_dense", outputs.hidden_states[i]).squeeze(0));
      logits.push_back(outputs.logits);
    }
    for (size_t i = 0; i < hidden.size(); ++i) {
      const at::Tensor shown = at::cat(hidden[i]);
      const double off = Off(prefix + ".hidden." + std::to_string(i), shown.slice(1, 0, shown.size(1), 2));
      EXPECT_LT(off, kTolerance) << prefix << ", hidden state " << i;
      worst_ = std::max(worst_, off);
    }
    const double off = Off(prefix + ".logits", at::cat(logits));
    EXPECT_LT(off, kTolerance) << prefix << ", logits";
    worst_ = std::max(worst_, off);
  }

  void ExpectReport(const json& shape, const SlicedReport& report) {
    ASSERT_EQ(report.blocks.size(), shape["blocks"].size());
    for (size_t i = 0; i < report.blocks.size(); ++i) {
      const BlockFit& block = report.blocks[i];
      const json& trials = shape["blocks"][i]["r2"];
      EXPECT_EQ(block.block, shape["blocks"][i]["block"].get<std::string>());
      double best = -INFINITY;
      for (const json& r2 : trials) best = std::max(best, r2.get<double>());
      // Sliced weights behind a refitted block can be far off (R2 -14), and the least difference then counts.
      const double sliced = trials["sliced"].get<double>();
      EXPECT_NEAR(block.before, sliced, sliced > 0 ? kTolerance : 1e-3 * (1 - sliced)) << block.block;
      EXPECT_NEAR(block.after, best, kTolerance) << block.block;
      ASSERT_TRUE(trials.contains(block.goal)) << block.block << " took " << block.goal;
      EXPECT_GE(trials[block.goal].get<double>(), best - kTie) << block.block << " took " << block.goal;
      worst_r2_ = std::max(worst_r2_, std::abs(block.after - best));
    }
    std::vector<std::string> initialised = report.initialised;
    std::sort(initialised.begin(), initialised.end());
    EXPECT_EQ(initialised, shape["initialised"].get<std::vector<std::string>>());
  }

  const json golden_ = json::parse(ReadFile(std::string(kGolden) + ".json"));
  const models::Weights tensors_ = models::ReadSafetensors(std::string(kGolden) + ".safetensors").tensors;
  double worst_ = 0, worst_r2_ = 0;
};

TEST_F(SlicedStartGoldenTest, StudentsOfRandomShapesAgree) {
  const at::NoGradGuard no_grad;
  proto::Sliced options;
  options.set_ridge(golden_["ridge"].get<double>());
  const models::Model teacher = Teacher(golden_, tensors_);
  const SlicedStart start(teacher, MakeBatches(golden_["fit"], 16), MakeBatches(golden_["held_out"], 16),
                          options);
  ASSERT_EQ(golden_["cases"].size(), 20u);
  for (size_t i = 0; i < golden_["cases"].size(); ++i) {
    json shape = golden_["cases"][i];
    SCOPED_TRACE("case " + std::to_string(i));
    const models::Model supernet = start.MakeSupernet(
        Architecture(golden_, shape, shape["largest_stacks"].get<int>(), 1), golden_["seed"].get<uint64_t>());
    const proto::Architecture candidate =
        Architecture(golden_, shape, shape["stacks"].get<int>(), shape["divisor"].get<int>());
    ExpectStudent(std::to_string(i) + ".before", models::CropCandidate(supernet, candidate));
    SlicedReport report;
    ExpectStudent(std::to_string(i) + ".after", start.MakeCandidate(supernet, candidate, &report));
    ExpectReport(shape, report);
  }
  RecordProperty("worst_relative_difference", std::to_string(worst_));
  std::printf("worst difference: %.2g of the largest value, R2 %.2g\n", worst_, worst_r2_);
}

}  // namespace
}  // namespace thimble::distill
