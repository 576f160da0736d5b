// Steps 1 to 6: what a rotation leaves exact is exact, whatever is cut is the least.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "distill/start/heads.h"
#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

using testing::AllOf;
using testing::HasSubstr;

SlicedStart Start(const models::Model& teacher) {
  return SlicedStart(teacher, RandomBatches(6, 8, 1), RandomBatches(2, 8, 2), DefaultSliced());
}

std::string Ffn(int width) { return "ffn_hidden: " + std::to_string(width); }

// Hidden states seen through fit_dense, scores and logits of student and teacher.
void ExpectEqualToTeacher(const models::Model& student, const models::Model& teacher, double tolerance) {
  at::NoGradGuard no_grad;
  models::Batch batch = RandomBatches(1, 8, 9)[0];
  models::ForwardOptions options{.hidden_states = true, .attention_logits = true};
  models::Outputs s = models::Forward(student, batch, options), t = models::Forward(teacher, batch, options);
  for (size_t i = 0; i < t.hidden_states.size(); ++i) {
    EXPECT_LT(Difference(models::Linear(student, "fit_dense", s.hidden_states[i]), t.hidden_states[i], batch),
              tolerance)
        << i;
  }
  for (size_t i = 0; i < t.attention_logits.size(); ++i) {
    at::Tensor pairs = batch.mask.unsqueeze(1).unsqueeze(2) * batch.mask.unsqueeze(1).unsqueeze(3);
    EXPECT_LT(((s.attention_logits[i] - t.attention_logits[i]).abs() * pairs).max().item<double>(),
              4 * tolerance)
        << i;
  }
  EXPECT_LT((s.logits - t.logits).abs().max().item<double>(), 4 * tolerance);
}

TEST(CutTest, FullWidthWithUnitGainsIsTheTeacher) {
  models::Model teacher = RandomTeacher(3, 32, 64, /*unit_gains=*/true);
  models::Model student = Start(teacher).MakeSupernet(Encoder(3, 32, kBertBlock, Ffn(64)), 1);
  ExpectEqualToTeacher(student, teacher, 1e-3);
}

TEST(CutTest, WiderStudentIsTheTeacherToo) {
  models::Model teacher = RandomTeacher(2, 32, 64, true);
  models::Model student = Start(teacher).MakeSupernet(Encoder(2, 48, kBertBlock, Ffn(64) + " pooler: 32"), 1);
  ExpectEqualToTeacher(student, teacher, 1e-3);
  // Yet no direction is dead: something reads from every channel.
  EXPECT_GT(at::linalg_svdvals(student.weights.at("layer.0.ffn.0.up.weight")).min().item<double>(), 1e-4);
}

TEST(CutTest, TeacherInASubspaceIsRecovered) {
  models::Model inner = RandomTeacher(2, 24, 48, true);
  models::Model teacher = Start(inner).MakeSupernet(Encoder(2, 40, kBertBlock, Ffn(48) + " pooler: 24"), 1);
  models::Model student = Start(teacher).MakeSupernet(Encoder(2, 24, kBertBlock, Ffn(48)), 1);
  ExpectEqualToTeacher(student, teacher, 2e-3);
}

TEST(CutTest, TrigramOfFullRankIsTheTeachersEmbedding) {
  models::Model teacher = RandomTeacher(1, 32, 64, false);
  models::Model student = Start(teacher).MakeSupernet(
      Encoder(1, 32, kBertBlock, Ffn(64) + " embedding { trigram { width: 32 } }"), 1);
  models::Batch batch = RandomBatches(1, 8, 9)[0];
  at::Tensor sum = models::Linear(student, "fit_dense", models::EmbeddingSum(student, batch));
  EXPECT_LT(Difference(sum, models::EmbeddingSum(teacher, batch), batch), 1e-4);
  EXPECT_NEAR(student.weights.at("embedding.token").std().item<double>(), 0.05, 1e-3);
}

// A factorised table is the current token's third of a trigram.
TEST(CutTest, FactorisedOfFullRankIsTheTeachersEmbedding) {
  models::Model teacher = RandomTeacher(1, 32, 64, false);
  SlicedStart start = Start(teacher);
  auto embedding = [&](const std::string& kind, int width) {
    return start.MakeSupernet(
        Encoder(1, 32, kBertBlock,
                Ffn(64) + " embedding { " + kind + " { width: " + std::to_string(width) + " } }"),
        1);
  };
  models::Batch batch = RandomBatches(1, 8, 9)[0];
  auto difference = [&](const models::Model& student) {
    at::Tensor sum = models::Linear(student, "fit_dense", models::EmbeddingSum(student, batch));
    return Difference(sum, models::EmbeddingSum(teacher, batch), batch);
  };
  models::Model student = embedding("factorised", 32);
  EXPECT_LT(difference(student), 1e-4);
  EXPECT_NEAR(student.weights.at("embedding.token").std().item<double>(), 0.05, 1e-3);
  models::Model narrow = embedding("factorised", 12), trigram = embedding("trigram", 12);
  EXPECT_GT(difference(narrow), 1e-2);
  EXPECT_TRUE(narrow.weights.at("embedding.token").equal(trigram.weights.at("embedding.token")));
  EXPECT_TRUE(narrow.weights.at("embedding.project.weight")
                  .equal(trigram.weights.at("embedding.project.weight").slice(1, 12, 24)));
  SlicedReport report;
  start.MakeCandidate(embedding("factorised", 40), embedding("factorised", 40).architecture, &report);
  EXPECT_THAT(report.initialised, testing::ElementsAre("embedding.token"));
}

// LayerNorm gains are not diagonal after a rotation, but what lies between two LayerNorms stays exact.
TEST(CutTest, AttentionOfRotatedInputsIsExactAtFullWidth) {
  models::Model teacher = RandomTeacher(4, 32, 64, false);
  models::Model student = Start(teacher).MakeSupernet(Encoder(2, 32, kBertBlock, Ffn(64)), 1);
  models::Batch batch = RandomBatches(1, 8, 9)[0];
  models::ForwardOptions options{.hidden_states = true, .attention_logits = true};
  at::Tensor x = models::Forward(teacher, batch, options).hidden_states[3];
  at::Tensor p = student.weights.at("fit_dense.weight").t();
  at::Tensor rotated = x.matmul(p.t());
  // Layer 2 of 2 takes teacher layer 4 of 4; layer 1 would take layer 2.
  models::Mixed t = models::ComputeMixer(teacher, 3, teacher.shape.layers[3].mixer, x, batch, options);
  models::Mixed s = models::ComputeMixer(student, 1, student.shape.layers[1].mixer, rotated, batch, options);
  EXPECT_LT((t.attention_logits - s.attention_logits).abs().max().item<double>(), 2e-3);
  at::Tensor out = models::Linear(student, "layer.1.attention.out", s.context).matmul(p);
  EXPECT_LT(Difference(out, models::Linear(teacher, "layer.3.attention.out", t.context), batch), 1e-3);
  at::Tensor value = models::FeedForwardValue(student, 1, 0, student.shape.layers[1], rotated).matmul(p);
  EXPECT_LT(Difference(value, models::FeedForwardValue(teacher, 3, 0, teacher.shape.layers[3], x), batch),
            1e-3);
}

TEST(CutTest, MostImportantNeuronsComeFirst) {
  models::Model teacher = RandomTeacher(1, 32, 64, true);
  {
    at::NoGradGuard no_grad;
    at::Tensor down = teacher.weights.at("layer.0.ffn.0.down.weight");
    for (auto [neuron, factor] : {std::pair{41, 1e6}, {7, 1e4}, {20, 1e2}})
      down.select(1, neuron).mul_(factor);
  }
  models::Model student =
      Start(teacher).MakeSupernet(Encoder(1, 32, std::string(kBertBlock) + " stacks: 3", Ffn(2)), 1);
  at::Tensor p = student.weights.at("fit_dense.weight").t(),
             up = teacher.weights.at("layer.0.ffn.0.up.weight");
  auto expect_row = [&](const std::string& block, int row, int neuron) {
    at::Tensor restored = student.weights.at(block + ".up.weight")[row].matmul(p);
    EXPECT_LT((restored - up[neuron]).abs().max().item<double>(), 1e-4) << block << " " << row;
  };
  expect_row("layer.0.ffn.0", 0, 41);
  expect_row("layer.0.ffn.0", 1, 7);
  expect_row("layer.0.ffn.1", 0, 20);
  EXPECT_EQ(student.weights.at("layer.0.ffn.1.down.weight").abs().max().item<double>(), 0);
}

TEST(CutTest, WhatTheTeacherDoesNotHaveIsReported) {
  models::Model teacher = RandomTeacher(1, 32, 40, true);
  SlicedStart start = Start(teacher);
  std::string stacks = std::string(kBertBlock) + " stacks: 3";
  models::Model supernet = start.MakeSupernet(Encoder(1, 32, stacks, Ffn(16)), 1);
  SlicedReport report;
  start.MakeCandidate(supernet, Encoder(1, 32, stacks, Ffn(16)), &report);
  EXPECT_THAT(report.initialised, testing::ElementsAre("layer.0.ffn.2.up.weight"));  // 40 = 16 + 16 + 8
  start.MakeCandidate(supernet, Encoder(1, 32, stacks + " ratio: '1/2'", Ffn(16)), &report);
  EXPECT_THAT(report.initialised, testing::IsEmpty());
  EXPECT_NEAR(supernet.weights.at("layer.0.ffn.2.up.weight").slice(0, 8).std().item<double>(), 0.02, 0.005);
}

// Rows of every head of a query or key that `change` alters in place: [heads, width, h].
void ChangeHeads(models::Model* teacher, const std::string& name,
                 const std::function<void(at::Tensor)>& change) {
  at::NoGradGuard no_grad;
  for (size_t l = 0; l < teacher->shape.layers.size(); ++l)
    for (const char* what : {".weight", ".bias"}) {
      at::Tensor& x = teacher->weights.at("layer." + std::to_string(l) + ".attention." + name + what);
      change(x.view({teacher->shape.heads, teacher->shape.hidden / teacher->shape.heads, -1}));
    }
}

double LogitDifference(const models::Model& student, const models::Model& teacher) {
  at::NoGradGuard no_grad;
  models::Batch batch = RandomBatches(1, 8, 9)[0];
  return (models::Forward(student, batch).logits - models::Forward(teacher, batch).logits)
      .abs()
      .max()
      .item<double>();
}

TEST(CutTest, HeadsThatLookAlikeMerge) {
  models::Model teacher = RandomTeacher(2, 32, 64, true);
  for (const char* name : {"query", "key"})
    ChangeHeads(&teacher, name, [](at::Tensor heads) {
      for (int head : {0, 2}) heads[head + 1].copy_(heads[head]);
    });
  SlicedStart start = Start(teacher);
  EXPECT_LT(
      LogitDifference(start.MakeSupernet(Encoder(2, 32, kBertBlock, "heads: 2 ffn_hidden: 64"), 1), teacher),
      4e-3);
  // One head cannot look in two ways.
  EXPECT_GT(
      LogitDifference(start.MakeSupernet(Encoder(2, 32, kBertBlock, "heads: 1 ffn_hidden: 64"), 1), teacher),
      4e-2);
}

TEST(CutTest, AHeadOfLowRankSplits) {
  models::Model teacher = RandomTeacher(2, 32, 64, true);
  ChangeHeads(&teacher, "query", [](at::Tensor heads) { heads.slice(1, 4).zero_(); });  // rank 4 of 8
  SlicedStart start = Start(teacher);
  EXPECT_LT(
      LogitDifference(start.MakeSupernet(Encoder(2, 32, kBertBlock, "heads: 8 ffn_hidden: 64"), 1), teacher),
      4e-3);
  EXPECT_GT(
      LogitDifference(start.MakeSupernet(Encoder(2, 32, kBertBlock, "heads: 16 ffn_hidden: 64"), 1), teacher),
      4e-2);
}

TEST(CutTest, SharesOfATeacherHeadAddUpToOne) {
  for (int theirs : {1, 3, 4, 12})
    for (int ours : {1, 2, 3, 5, 8, 12, 24}) {
      std::vector<double> sums(theirs);
      for (const auto& shares : ShareHeads(theirs, ours)) {
        EXPECT_FALSE(shares.empty());
        for (const auto& share : shares) sums[share.head] += share.share;
      }
      for (double sum : sums) EXPECT_NEAR(sum, 1, 1e-12);
    }
}

TEST(CutTest, AnyDepthIsSpreadEvenly) {
  models::Model teacher = RandomTeacher(3, 32, 64, true);
  SlicedStart start = Start(teacher);
  models::Model shallow = start.MakeSupernet(Encoder(2, 32, kBertBlock, Ffn(64)), 1);  // from layers 2 and 3
  at::Tensor p = shallow.weights.at("fit_dense.weight").t();
  EXPECT_LT((p.matmul(teacher.weights.at("layer.1.ffn.0.down.weight")).norm() -
             shallow.weights.at("layer.0.ffn.0.down.weight").norm())
                .abs()
                .item<double>(),
            1e-4);
  // A layer beyond the teacher's hands on what it gets: 4 of 3 is 1, 2, 2, 3.
  models::Model deep = start.MakeSupernet(Encoder(4, 32, kBertBlock, Ffn(64)), 1);
  EXPECT_EQ(deep.weights.at("layer.2.attention.out.weight").abs().max().item<double>(), 0);
  EXPECT_EQ(deep.weights.at("layer.2.ffn.0.down.weight").abs().max().item<double>(), 0);
  EXPECT_GT(deep.weights.at("layer.3.attention.out.weight").abs().max().item<double>(), 0);
  SlicedReport report;
  start.MakeCandidate(deep, deep.architecture, &report);
  for (const auto& block : report.blocks) EXPECT_GT(block.after, 0.9) << block.block;
}

template <typename Call>
std::string Message(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(CutTest, ErrorsNameBothSides) {
  models::Model teacher = RandomTeacher(3, 32, 64, true);
  SlicedStart start = Start(teacher);
  auto supernet = [&](const proto::Architecture& student) {
    return Message([&] { start.MakeSupernet(student, 1); });
  };
  EXPECT_THAT(supernet(Encoder(3, 16, kBertBlock)),
              AllOf(HasSubstr("pooler"), HasSubstr("16"), HasSubstr("32")));
  EXPECT_THAT(Message([&] {
                SlicedStart(teacher, RandomBatches(1, 8, 1), RandomBatches(1, 8, 2), DefaultSliced(), {1, 4})
                    .MakeSupernet(Encoder(2, 32, kBertBlock), 1);
              }),
              AllOf(HasSubstr("4"), HasSubstr("3")));
  proto::Architecture other = Encoder(3, 32, kBertBlock);
  other.set_vocabulary(61);
  EXPECT_THAT(supernet(other), AllOf(HasSubstr("vocabular"), HasSubstr("61"), HasSubstr("60")));
  models::Model trigram =
      models::MakeModel(Encoder(1, 32, kBertBlock, "embedding { trigram {} }"), 0, 0, Random(1));
  EXPECT_THAT(Message([&] { Start(trigram); }), HasSubstr("trigram"));
  models::Model factorised =
      models::MakeModel(Encoder(1, 32, kBertBlock, "embedding { factorised {} }"), 0, 0, Random(1));
  EXPECT_THAT(Message([&] { Start(factorised); }), HasSubstr("factorised"));
  models::Model stacked =
      models::MakeModel(Encoder(1, 32, std::string(kBertBlock) + " stacks: 2"), 0, 0, Random(1));
  EXPECT_THAT(Message([&] { Start(stacked); }), HasSubstr("2 stacks"));
  for (const std::string more : {"bottleneck { width: 16 }", "norm: NO_NORM"}) {
    const std::string what = more.substr(0, 4) == "norm" ? "has no LayerNorm" : "has a bottleneck";
    const proto::Architecture other_block = Encoder(3, 32, kBertBlock, more);
    EXPECT_THAT(supernet(other_block), HasSubstr("the student " + what));
    const models::Model model = models::MakeModel(other_block, 0, 0, Random(1));
    EXPECT_THAT(Message([&] { Start(model); }), HasSubstr("the teacher " + what));
    EXPECT_THAT(Message([&] { CheckSliceable(model.shape, teacher); }), HasSubstr("the student " + what));
  }
}

}  // namespace
}  // namespace thimble::distill
