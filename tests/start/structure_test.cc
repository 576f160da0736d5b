// The sliced start of blocks with groups, Monarch matrices and experts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "distill/start/block_cut.h"
#include "distill/start/linear_fit.h"
#include "distill/start/route.h"
#include "models/torch/mixing.h"
#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

at::Tensor Drawn(at::IntArrayRef sizes, uint64_t seed) {
  Random random(seed);
  at::Tensor x = at::empty(sizes, at::kDouble);
  for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data_ptr<double>()[i] = random.Normal();
  return x;
}

double Largest(const at::Tensor& difference) { return difference.abs().max().item<double>(); }

TEST(BlocksTest, DenseAndBack) {
  const at::Tensor blocks = Drawn({6, 4}, 1), dense = FromDiagonalBlocks(blocks, 3);
  ASSERT_EQ(dense.sizes(), at::IntArrayRef({6, 12}));
  EXPECT_TRUE(at::equal(DiagonalBlocks(dense, 3), blocks));
  EXPECT_EQ(dense.count_nonzero().item<int64_t>(), 24);
  EXPECT_EQ(dense[2][4].item<double>(), blocks[2][0].item<double>());
}

at::Tensor Product(const Monarch& factors, int64_t groups) {
  const at::Tensor order = models::Interleaved(at::arange(factors.inner.size(0), at::kLong), groups);
  return FromDiagonalBlocks(factors.outer, groups)
      .matmul(FromDiagonalBlocks(factors.inner, groups).index_select(0, order));
}

TEST(MonarchTest, AMonarchMatrixIsItsOwnNearest) {
  for (const auto& [out, in] : {std::pair(12, 8), std::pair(8, 12), std::pair(8, 8)}) {
    const Monarch drawn = {Drawn({8, in / 2}, 1), Drawn({out, 4}, 2)};
    const at::Tensor dense = Product(drawn, 2);
    EXPECT_EQ((dense == 0).sum().item<int64_t>(), 0);  // every output sees every input
    EXPECT_LT(Largest(Product(NearestMonarch(dense, 2), 2) - dense), 1e-10);
    // Of another the error is that of the singular values left out, for any factors no less.
    const at::Tensor other = Drawn({out, in}, 3);
    const double nearest = (Product(NearestMonarch(other, 2), 2) - other).norm().item<double>();
    EXPECT_LT(nearest, other.norm().item<double>());
    for (uint64_t seed = 4; seed < 8; ++seed) {
      const at::Tensor direction = Product({Drawn({8, in / 2}, seed), Drawn({out, 4}, seed + 9)}, 2);
      const double length = ((direction * other).sum() / direction.square().sum()).item<double>();
      EXPECT_LT(nearest, (direction * length - other).norm().item<double>());
    }
  }
}

// A regression of each group alone.
TEST(LinearFitTest, GroupsAreRegressionsOfTheirOwn) {
  const at::Tensor x = Drawn({200, 6}, 1).to(at::kFloat), y = Drawn({200, 4}, 2).to(at::kFloat);
  const LinearWeights zero{at::zeros({4, 6}), at::zeros({4})};
  const LinearWeights all = LinearFit(Centred(x.clone()), 1e-9, 2).Solve({}, y, zero);
  for (int64_t k = 0; k < 2; ++k) {
    const LinearWeights none{at::zeros({2, 3}), at::zeros({2})};
    const LinearWeights own =
        LinearFit(Centred(x.narrow(1, 3 * k, 3).clone()), 1e-9).Solve({}, y.narrow(1, 2 * k, 2), none);
    EXPECT_LT(Largest(all.weight.narrow(0, 2 * k, 2).narrow(1, 3 * k, 3) - own.weight), 1e-5);
    EXPECT_LT(Largest(all.bias.narrow(0, 2 * k, 2) - own.bias), 1e-5);
    EXPECT_EQ(Largest(all.weight.narrow(0, 2 * k, 2).narrow(1, 3 - 3 * k, 3)), 0);
  }
}

TEST(CentresTest, FindSeparateClusters) {
  at::Tensor x = 0.1 * Drawn({300, 5}, 1).to(at::kFloat);
  for (int64_t i = 0; i < 300; ++i) x[i][i % 3] += 10;
  const at::Tensor centres = Centres(x, 3);
  for (int64_t c = 0; c < 3; ++c) {
    at::Tensor want = at::zeros({5});
    want[c] = 10;
    EXPECT_LT((centres - want).norm(2, {1}, false).min().item<double>(), 0.1) << c;
  }
}

struct Setting {
  models::Model teacher = RandomTeacher(2, 32, 64, /*unit_gains=*/false);
  SlicedStart start{teacher, RandomBatches(24, 16, 1), RandomBatches(4, 16, 2), DefaultSliced()};
  proto::Architecture Student(const std::string& ffn) const {
    return Encoder(2, 16, ffn, "ffn_hidden: 32 pooler: 32");
  }
  models::Model Made(const std::string& ffn, SlicedReport* report) const {
    return start.MakeCandidate(start.MakeSupernet(Student(ffn), 1), Student(ffn), report);
  }
};

class EveryStructure : public testing::TestWithParam<const char*> {};

TEST_P(EveryStructure, WorksBeforeItIsTrained) {
  const Setting setting;
  for (const std::string& kind : {"expression: 'linear(gelu_erf(linear(x,wb1)),wb2)'",
                                  "expression: 'tanh(linear(gelu(linear(x,wb1)),wb2))'",
                                  "mlp { hidden_layers: 2 }", "glu {} stacks: 2"}) {
    SlicedReport report;
    const models::Model student = setting.Made(kind + " " + GetParam(), &report);
    for (const BlockFit& block : report.blocks) {
      EXPECT_GE(block.after, block.before) << kind << block.block;
      EXPECT_TRUE(std::isfinite(block.before)) << kind << block.block;
    }
    // Nothing of the kind adds nothing: more is explained than without the block.
    SlicedReport without;
    setting.Made("none {}", &without);
    EXPECT_GT(report.blocks.back().after, without.blocks.back().after + 0.02) << kind;
    for (const auto& [name, weight] : student.weights)
      EXPECT_TRUE(weight.isfinite().all().item<bool>()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Structures, EveryStructure,
                         testing::Values("groups: 2", "groups: 2 monarch: true", "routed { count: 3 }",
                                         "routed { count: 2 shared: 16 } groups: 2",
                                         "merged { count: 3 k: 2 }", "merged { count: 2 level: TASK }"));

// A crop of groups is a smaller block of the same teacher.
TEST(StructureStartTest, CropsOfGroupsAreFitted) {
  const Setting setting;
  const std::string block = "glu {} groups: 2";
  const models::Model supernet = setting.start.MakeSupernet(setting.Student(block), 1);
  double last = -1e9;
  for (const char* ratio : {"1/4", "1/2", "1"}) {
    SlicedReport report;
    setting.start.MakeCandidate(supernet, setting.Student(block + " ratio: '" + ratio + "'"), &report);
    EXPECT_GT(report.blocks.back().after, last) << ratio;
    last = report.blocks.back().after;
  }
}

TEST(StructureStartTest, MergedExpertsStartAsTheDenseBlock) {
  const Setting setting;
  const std::string block = "glu {}";
  const models::Model dense = setting.Made(block, nullptr),
                      merged = setting.Made(block + " merged { count: 4 k: 2 }", nullptr);
  const at::NoGradGuard no_grad;
  const models::Batch batch = RandomBatches(1, 8, 9)[0];
  EXPECT_LT(Largest(models::Forward(dense, batch).logits - models::Forward(merged, batch).logits), 1e-4);
}

TEST(StructureStartTest, ExpertsOfTheirOwnExplainMoreThanOne) {
  const Setting setting;
  const std::string block = std::string(kBertBlock) + " ratio: '1/4'";
  SlicedReport dense, routed;
  setting.Made(block, &dense);
  setting.Made(block + " routed { count: 4 }", &routed);
  EXPECT_EQ(routed.blocks[2].goal, "experts");
  EXPECT_GT(routed.blocks[2].after, dense.blocks[2].after + 0.01);
}

}  // namespace
}  // namespace thimble::distill
