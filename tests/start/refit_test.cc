// Step 7: a refit helps on held-out rows or does not happen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

const char* const kGelu = "expression: 'linear(gelu(linear(x,wb1)),wb2)'";

struct Setting {
  models::Model teacher = RandomTeacher(2, 32, 64, /*unit_gains=*/false);
  SlicedStart start{teacher, RandomBatches(12, 16, 1), RandomBatches(4, 16, 2), DefaultSliced()};
  proto::Architecture Student(const std::string& ffn) const {
    return Encoder(2, 16, ffn, "ffn_hidden: 16 pooler: 32 embedding { trigram { width: 12 } }");
  }
  models::Model supernet = start.MakeSupernet(Student(std::string(kGelu) + " stacks: 4"), 1);
};

void ExpectFiniteAndNeverWorse(const models::Model& student, const SlicedReport& report) {
  for (const BlockFit& block : report.blocks) {
    EXPECT_GE(block.after, block.before) << block.block;
    EXPECT_EQ(block.refitted, block.after > block.before) << block.block;
    EXPECT_LE(block.after, 1) << block.block;
    EXPECT_TRUE(std::isfinite(block.before)) << block.block;
  }
  for (const auto& [name, weight] : student.weights) {
    EXPECT_TRUE(at::isfinite(weight).all().item<bool>()) << name;
  }
}

// The small vocabulary's embedding is as good as its width allows after slicing; all else gains.
void ExpectRefitted(const SlicedReport& report) {
  for (const BlockFit& block : report.blocks) {
    if (block.block != "embedding") EXPECT_TRUE(block.refitted) << block.block;
  }
}

TEST(RefitTest, ReportNamesEveryBlockInOrder) {
  Setting setting;
  SlicedReport report;
  models::Model student = setting.start.MakeCandidate(
      setting.supernet, setting.Student(std::string(kGelu) + " stacks: 2"), &report);
  std::vector<std::string> names;
  for (const BlockFit& block : report.blocks) names.push_back(block.block);
  EXPECT_THAT(names, testing::ElementsAre("embedding", "layer.0.attention", "layer.0.ffn.0", "layer.0.ffn.1",
                                          "layer.1.attention", "layer.1.ffn.0", "layer.1.ffn.1"));
  ExpectFiniteAndNeverWorse(student, report);
}

// The reported figures are those of a forward pass.
TEST(RefitTest, ReportedVarianceIsThatOfTheForwardPass) {
  Setting setting;
  SlicedReport report;
  models::Model student = setting.start.MakeCandidate(setting.supernet, setting.Student(kGelu), &report);
  std::vector<at::Tensor> ours, goal;
  for (const models::Batch& batch : RandomBatches(4, 16, 2)) {
    at::Tensor places = batch.mask.flatten().nonzero().flatten();
    models::ForwardOptions options{.hidden_states = true};
    at::Tensor target = models::Forward(setting.teacher, batch, options)
                            .hidden_states[2]
                            .matmul(student.weights.at("fit_dense.weight"));
    ours.push_back(
        models::Forward(student, batch, options).hidden_states[2].flatten(0, 1).index_select(0, places));
    goal.push_back(target.flatten(0, 1).index_select(0, places));
  }
  at::Tensor y = at::cat(ours), t = at::cat(goal);
  double r2 = 1 - (y - t).pow(2).sum().item<double>() / (t - t.mean(0)).pow(2).sum().item<double>();
  EXPECT_NEAR(report.blocks.back().after, r2, 1e-3);
  EXPECT_GT(r2, 0.3);
}

TEST(RefitTest, MoreStacksExplainMore) {
  Setting setting;
  double last = -1e9;
  for (int stacks = 1; stacks <= 4; ++stacks) {
    SlicedReport report;
    models::Model student = setting.start.MakeCandidate(
        setting.supernet, setting.Student(std::string(kGelu) + " stacks: " + std::to_string(stacks)),
        &report);
    ExpectFiniteAndNeverWorse(student, report);
    double first_layer = report.blocks[1 + stacks].after;
    EXPECT_GT(first_layer, last) << stacks;
    last = first_layer;
  }
}

TEST(RefitTest, RefittingBeatsSlicing) {
  Setting setting;
  SlicedReport report;
  setting.start.MakeCandidate(setting.supernet, setting.Student(std::string(kGelu) + " ratio: '1/4'"),
                              &report);
  ExpectRefitted(report);
}

// Three tokens cannot improve a student that is right already.
TEST(RefitTest, RefusedRefitLeavesTheWeights) {
  models::Model teacher = RandomTeacher(2, 32, 64, true);
  proto::Architecture same = Encoder(2, 32, kBertBlock, "ffn_hidden: 64");
  models::Model supernet =
      SlicedStart(teacher, RandomBatches(12, 16, 1), RandomBatches(4, 16, 2), DefaultSliced())
          .MakeSupernet(same, 1);
  SlicedStart tiny(teacher, RandomBatches(1, 1, 3, 3), RandomBatches(4, 16, 2), DefaultSliced());
  // The basis of another sample is another one: only a student in this start's own basis is right.
  models::Model rotated = tiny.MakeSupernet(same, 1);
  for (const auto& [name, tensor] : rotated.weights) {
    if (name.find("norm") == std::string::npos) continue;
    if (name.find(".weight") != std::string::npos) tensor.fill_(1);
  }
  for (const auto& [name, tensor] : rotated.weights) {
    if (name.find("norm.bias") == std::string::npos) continue;
    tensor.copy_(rotated.weights.at("fit_dense.weight").t().mv(teacher.weights.at(name)));
  }
  SlicedReport report;
  models::Model student = tiny.MakeCandidate(rotated, same, &report);
  for (const BlockFit& block : report.blocks) {
    EXPECT_FALSE(block.refitted) << block.block;
    EXPECT_EQ(block.before, block.after);
    EXPECT_GT(block.before, 0.99999) << block.block;
  }
  EXPECT_TRUE(SameWeights(student.weights, rotated.weights));
  EXPECT_FALSE(SameWeights(student.weights, supernet.weights));
}

class OutputExpression : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(
    All, OutputExpression,
    testing::Values("gelu(linear(relu(linear(x,wb1)),wb2))", "sigmoid(linear(relu(linear(x,wb1)),wb2))",
                    "tanh(linear(gelu(linear(x,wb1)),wb2))", "relu(linear(gelu(linear(x,wb1)),wb2))",
                    "leaky_relu(linear(gelu(linear(x,wb1)),wb2))", "elu(linear(gelu(linear(x,wb1)),wb2))",
                    "swish(linear(gelu(linear(x,wb1)),wb2))",
                    "mul(x,sigmoid(linear(gelu(linear(x,wb1)),wb2)))",
                    "max(linear(gelu(linear(x,wb1)),wb2),tanh(x))",
                    "add(linear(gelu(linear(x,wb1)),wb2),sigmoid(x))"));

TEST_P(OutputExpression, IsRefittedInEveryBlock) {
  Setting setting;
  SlicedReport report;
  models::Model student = setting.start.MakeCandidate(
      setting.supernet, setting.Student("expression: '" + std::string(GetParam()) + "' stacks: 2"), &report);
  ExpectFiniteAndNeverWorse(student, report);
  ExpectRefitted(report);
  EXPECT_GT(report.blocks[2].after, report.blocks[2].before + 0.01);
}

TEST(RefitTest, TwoRunsAndTwoThreadsAgreeBitForBit) {
  Setting first, second;
  EXPECT_TRUE(SameWeights(first.supernet.weights, second.supernet.weights));
  proto::Architecture a = first.Student("expression: 'tanh(linear(gelu(linear(x,wb1)),wb2))' stacks: 2");
  models::Model expected = first.start.MakeCandidate(first.supernet, a);
  std::vector<models::Model> made(2);
  std::vector<std::thread> threads;
  for (models::Model& model : made) {
    threads.emplace_back([&] { model = second.start.MakeCandidate(second.supernet, a); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const models::Model& model : made) EXPECT_TRUE(SameWeights(expected.weights, model.weights));
}

TEST(RefitTest, OneSentenceIsEnoughToRun) {
  models::Model teacher = RandomTeacher(2, 32, 64, false);
  for (int length : {3, 12}) {
    std::vector<models::Batch> one = RandomBatches(1, 1, 4, length);
    SlicedStart start(teacher, one, one, DefaultSliced());
    proto::Architecture a = Encoder(2, 16, kGelu, "pooler: 32 embedding { trigram { width: 12 } }");
    SlicedReport report;
    models::Model student = start.MakeCandidate(start.MakeSupernet(a, 1), a, &report);
    ExpectFiniteAndNeverWorse(student, report);
  }
}

TEST(RefitTest, OneTokenIsEnoughToRun) {
  models::Model teacher = RandomTeacher(2, 32, 64, false);
  std::vector<models::Batch> one = {
      {at::full({1, 1}, 7, at::kLong), at::zeros({1, 1}, at::kLong), at::ones({1, 1}), {}}};
  SlicedStart start(teacher, one, one, DefaultSliced());
  proto::Architecture a = Encoder(2, 16, "expression: 'tanh(linear(gelu(linear(x,wb1)),wb2))'", "pooler: 32");
  SlicedReport report;
  models::Model student = start.MakeCandidate(start.MakeSupernet(a, 1), a, &report);
  ExpectFiniteAndNeverWorse(student, report);
}

// The start under other options, for a teacher with enough rows to fit to.
struct Varied {
  models::Model teacher = RandomTeacher(2, 32, 64, false);
  proto::Architecture student = Encoder(2, 16, std::string(kGelu) + " stacks: 2",
                                        "ffn_hidden: 16 pooler: 32 embedding { trigram { width: 12 } }");
  SlicedReport Report(const std::string& options, int batches = 40) const {
    proto::Sliced sliced;
    ParseText(options, "options", &sliced);
    SlicedStart start(teacher, RandomBatches(batches, 16, 1), RandomBatches(4, 16, 2), sliced);
    SlicedReport report;
    ExpectFiniteAndNeverWorse(start.MakeCandidate(start.MakeSupernet(student, 1), student, &report), report);
    return report;
  }
};

std::vector<std::string> Goals(const SlicedReport& report) {
  std::vector<std::string> goals;
  for (const BlockFit& block : report.blocks)
    if (block.goal != "sliced" && block.goal != "norm") goals.push_back(block.goal);
  return goals;
}

TEST(RefitTest, GoalsCanBeChosen) {
  Varied varied;
  EXPECT_THAT(Goals(varied.Report("goal: STATE")),
              testing::AllOf(testing::SizeIs(testing::Ge(4u)), testing::Each("state")));
  EXPECT_THAT(Goals(varied.Report("goal: LIFT")),
              testing::AllOf(testing::SizeIs(testing::Ge(4u)), testing::Each("lift")));
  const SlicedReport sum = varied.Report("goal: SUM");
  EXPECT_EQ(sum.blocks[2].goal, "sum");  // the first block of a layer; a further one has no such goal
  EXPECT_THAT(sum.blocks[3].goal, testing::AnyOf("state", "lift", "norm"));
  // The best of several goals cannot lose to one of them in the first block that has the choice.
  const SlicedReport best = varied.Report("");
  EXPECT_GE(best.blocks[2].after, sum.blocks[2].after - 1e-3);
}

TEST(RefitTest, WithoutRefitTheCandidateIsTheCrop) {
  Varied varied;
  proto::Sliced sliced;
  sliced.set_refit(false);
  SlicedStart start(varied.teacher, RandomBatches(12, 16, 1), RandomBatches(4, 16, 2), sliced);
  const models::Model supernet = start.MakeSupernet(varied.student, 1);
  SlicedReport report;
  EXPECT_TRUE(SameWeights(start.MakeCandidate(supernet, varied.student, &report).weights, supernet.weights));
  ASSERT_EQ(report.blocks.size(), 7u);
  for (const BlockFit& block : report.blocks) {
    EXPECT_EQ(block.goal, "sliced");
    EXPECT_EQ(block.before, block.after);
  }
  // What is reported is what a refit would start from.
  EXPECT_NEAR(report.blocks[0].before, varied.Report("", 12).blocks[0].before, 1e-6);
}

TEST(RefitTest, PlainFactorsForgetTheStates) {
  Varied varied;
  auto supernet = [&](bool weigh) {
    proto::Sliced sliced;
    sliced.set_weigh_scores(weigh);
    return SlicedStart(varied.teacher, RandomBatches(12, 16, 1), RandomBatches(4, 16, 2), sliced)
        .MakeSupernet(varied.student, 1);
  };
  const models::Model weighted = supernet(true), plain = supernet(false);
  const std::string query = "layer.1.attention.query.weight", value = "layer.1.attention.value.weight";
  EXPECT_FALSE(weighted.weights.at(query).allclose(plain.weights.at(query), 1e-2, 1e-2));
  EXPECT_TRUE(weighted.weights.at(value).equal(plain.weights.at(value)));
}

TEST(RefitTest, CrossValidationChoosesOnceAndSaysSo) {
  Varied varied;
  proto::Sliced sliced;
  sliced.set_ridge(0);
  sliced.set_tokens(0);
  SlicedStart start(varied.teacher, RandomBatches(40, 16, 1), RandomBatches(4, 16, 2), sliced);
  testing::internal::CaptureStderr();
  const models::Model supernet = start.MakeSupernet(varied.student, 1);
  SlicedReport first, second;
  start.MakeCandidate(supernet, varied.student, &first);
  start.MakeCandidate(supernet, varied.student, &second);
  const std::string said = testing::internal::GetCapturedStderr();
  const std::string mark = "by cross-validation";
  ASSERT_THAT(said, testing::HasSubstr(mark));
  EXPECT_EQ(said.find(mark), said.rfind(mark)) << said;
  for (size_t i = 0; i < first.blocks.size(); ++i) EXPECT_EQ(first.blocks[i].after, second.blocks[i].after);
  EXPECT_GT(first.blocks.back().after, varied.Report("ridge: 100").blocks.back().after);
}

TEST(RefitTest, SmallSamplesAreWarnedOfAndChosenFrom) {
  models::Model teacher = RandomTeacher(2, 32, 64, false);
  for (const char* options : {"", "ridge: 0 tokens: 0"}) {
    proto::Sliced sliced;
    ParseText(options, "options", &sliced);
    const std::vector<models::Batch> one = RandomBatches(1, 1, 4, 3);
    testing::internal::CaptureStderr();
    SlicedStart start(teacher, one, one, sliced);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("has only 3 tokens"));
    proto::Architecture a = Encoder(2, 16, kGelu, "pooler: 32 embedding { factorised { width: 12 } }");
    SlicedReport report;
    ExpectFiniteAndNeverWorse(start.MakeCandidate(start.MakeSupernet(a, 1), a, &report), report);
  }
}

// The linear behind a narrow embedding's norm is fitted to the teacher's embedded state.
TEST(RefitTest, NarrowEmbedding) {
  models::Model teacher = RandomTeacher(2, 32, 64, false);
  const auto report_of = [&](int width) {
    SlicedStart start(teacher, RandomBatches(20, 16, 1), RandomBatches(4, 16, 2), DefaultSliced());
    const proto::Architecture a =
        Encoder(2, 24, kGelu, "pooler: 32 embedding { narrow { width: " + std::to_string(width) + " } }");
    SlicedReport report;
    const models::Model student = start.MakeCandidate(start.MakeSupernet(a, 1), a, &report);
    ExpectFiniteAndNeverWorse(student, report);
    EXPECT_EQ(report.blocks[0].block, "embedding");
    EXPECT_EQ(student.weights.at("embedding.position").size(1), width);
    EXPECT_EQ(student.weights.at("embedding.project.weight").sizes(), at::IntArrayRef({24, width}));
    return report;
  };
  const double wide = report_of(24).blocks[0].after, narrow = report_of(8).blocks[0].after;
  EXPECT_GT(wide, 0.8);
  EXPECT_GT(wide, narrow);
  EXPECT_GT(narrow, 0.1);
  EXPECT_THAT(report_of(40).initialised, testing::Contains("embedding.token"));
}

TEST(RefitTest, OwnDirectionsHoldNoLessThanShared) {
  models::Model teacher = RandomTeacher(2, 32, 64, false);
  SlicedStart start(teacher, RandomBatches(12, 16, 1), RandomBatches(4, 16, 2), DefaultSliced());
  const std::vector<CapturedVariance> captured = start.Captured(16);
  ASSERT_EQ(captured.size(), 5u);
  EXPECT_EQ(captured[0].state, "embedding");
  EXPECT_EQ(captured[4].state, "layer.1.ffn");
  for (const CapturedVariance& each : captured) {
    EXPECT_GT(each.shared, 0.3) << each.state;
    EXPECT_GT(each.own, each.shared) << each.state;
    EXPECT_LT(each.own, 1) << each.state;
  }
  for (const CapturedVariance& each : start.Captured(48)) EXPECT_NEAR(each.shared, 1, 1e-9);
}

TEST(RefitTest, TeacherWithoutHeadAndOtherWidths) {
  models::Model teacher = models::MakeModel(Encoder(4, 32, kBertBlock, "ffn_hidden: 64"), 0, 0, Random(1));
  SlicedStart start(teacher, RandomBatches(6, 8, 1), RandomBatches(2, 8, 2), DefaultSliced());
  for (int hidden : {12, 24}) {
    proto::Architecture a = Encoder(2, hidden, kGelu);
    SlicedReport report;
    models::Model student = start.MakeCandidate(start.MakeSupernet(a, 1), a, &report);
    EXPECT_FALSE(student.weights.Has("head.weight"));
    ExpectFiniteAndNeverWorse(student, report);
  }
}

}  // namespace
}  // namespace thimble::distill
