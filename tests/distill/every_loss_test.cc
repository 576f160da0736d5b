// What every loss must do: runs over the whole catalogue.
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/distill/cases.h"

namespace thimble::distill {
namespace {

class EveryLoss : public testing::TestWithParam<LossEntry> {
 protected:
  std::unique_ptr<Loss> loss_ = MakeLoss(GetParam().name + " {}");

  double Sum(const Case& c) const { return loss_->Compute(c.input()).sum.item<double>(); }
  std::vector<at::Tensor> Gradients(const Case& c) const {
    return torch::autograd::grad({loss_->Compute(c.input()).sum}, c.Leaves(), {}, false, false, true);
  }
};

TEST_P(EveryLoss, IsPositiveAndCountsSomething) {
  const LossSum loss = loss_->Compute(MakeCase({5, 3}, 5).input());
  EXPECT_GT(loss.sum.item<double>(), 0);
  EXPECT_GT(loss.count, 0);
}

TEST_P(EveryLoss, PaddingIsInNeitherSumNorCount) {
  const LossSum tight = loss_->Compute(MakeCase({5, 3}, 5).input());
  const LossSum loose = loss_->Compute(MakeCase({5, 3}, 17).input());
  EXPECT_EQ(tight.count, loose.count);
  EXPECT_NEAR(loose.sum.item<double>() / tight.sum.item<double>(), 1, 1e-6);
}

TEST_P(EveryLoss, UnevenBatchesAddUpToOne) {
  if (GetParam().of_batch) return;
  const LossSum a = loss_->Compute(MakeCase({6, 2, 3}, 6).input()),
                b = loss_->Compute(MakeCase({4}, 4, 3).input());
  const LossSum joint = loss_->Compute(MakeCase({6, 2, 3, 4}, 6).input());
  EXPECT_EQ(a.count + b.count, joint.count);
  EXPECT_NEAR((a.sum + b.sum).item<double>() / joint.sum.item<double>(), 1, 1e-6);
}

// Which of a batch's parts weighs how much is known before the models run.
TEST_P(EveryLoss, ThingsAreInProportionToTheCount) {
  const auto things = [&](const Case& c) { return loss_->Things(c.batch) / loss_->Compute(c.input()).count; };
  const double one = things(MakeCase({5}, 5));
  EXPECT_GT(one, 0);
  EXPECT_EQ(things(MakeCase({6, 2, 3}, 9)), one);
  EXPECT_EQ(things(MakeCase({4, 7}, 7, 3)), one);
}

// Central differences along the gradient's own direction, leaf by leaf; exact for the quadratic losses but
// for rounding.
TEST_P(EveryLoss, GradientsAgreeWithDifferences) {
  const Case c = MakeCase({6, 3}, 8);
  const auto leaves = c.Leaves();
  const auto gradients = Gradients(c);
  int checked = 0;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const at::NoGradGuard no_grad;
    const at::Tensor direction = gradients[i] / gradients[i].norm();
    const double step = 0.05;
    leaves[i].add_(direction, step);
    const double above = Sum(c);
    leaves[i].sub_(direction, 2 * step);
    const double below = Sum(c);
    leaves[i].add_(direction, step);
    const double slope = gradients[i].norm().item<double>();
    EXPECT_NEAR((above - below) / (2 * step) / slope, 1, 3e-3) << "leaf " << i << " " << leaves[i].sizes();
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST_P(EveryLoss, PaddingGetsNoGradient) {
  const Case c = MakeCase({6, 3}, 8);
  const at::Tensor mask = c.batch.mask;
  const auto gradients = Gradients(c);
  const auto leaves = c.Leaves();
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!gradients[i].defined()) continue;
    EXPECT_TRUE(gradients[i].isfinite().all().item<bool>());
    if (leaves[i].dim() == 3) {
      EXPECT_EQ((gradients[i] * (1 - mask.unsqueeze(2))).abs().max().item<float>(), 0);
    }
    if (leaves[i].dim() == 4) {
      const at::Tensor real = mask.view({2, 1, 8, 1}) * mask.view({2, 1, 1, 8});
      EXPECT_EQ((gradients[i] * (1 - real)).abs().max().item<float>(), 0);
    }
  }
}

TEST_P(EveryLoss, TheTeacherGetsNoGradient) {
  Case c = MakeCase({4}, 4);
  std::vector<at::Tensor> teacher = c.teacher.attention_logits;
  teacher.insert(teacher.end(), c.teacher.hidden_states.begin(), c.teacher.hidden_states.end());
  teacher.push_back(c.teacher.logits);
  for (at::Tensor& tensor : teacher) tensor.requires_grad_();
  loss_->Compute(c.input()).sum.backward();
  for (const at::Tensor& tensor : teacher) EXPECT_FALSE(tensor.grad().defined());
}

TEST_P(EveryLoss, NeedsWhatItsEntrySaysAndNoMore) {
  const LossEntry& entry = GetParam();
  const Case whole = MakeCase({5, 3}, 6);
  Case c = MakeCase({5, 3}, 6);
  for (models::Outputs* outputs : {&c.outputs, &c.teacher}) {
    if (!entry.attention_logits) outputs->attention_logits.clear();
    if (!entry.hidden_states) outputs->hidden_states.clear();
    if (!entry.logits) outputs->logits = at::Tensor();
    if (!entry.routing) outputs->routing.clear();
  }
  if (!entry.labels) c.batch.labels = at::Tensor();
  const LossInput input = {c.student, c.outputs, entry.teacher ? &c.teacher : nullptr, c.batch, c.layer_map};
  EXPECT_EQ(loss_->Compute(input).sum.item<double>(), Sum(whole));
}

// Without a projection, whose matrix product is torch's.
TEST_P(EveryLoss, IsTheSameForAnyThreadCount) {
  const Case c = MakeCase({20, 33, 31, 7, 40}, 40, 0, false);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double one = Sum(c);
  const auto gradients_one = Gradients(c);
  at::set_num_threads(2);
  EXPECT_EQ(Sum(c), one);
  const auto gradients_two = Gradients(c);
  at::set_num_threads(threads);
  for (size_t i = 0; i < gradients_one.size(); ++i)
    if (gradients_one[i].defined()) {
      EXPECT_TRUE(gradients_one[i].equal(gradients_two[i])) << i;
    }
}

// bfloat16 outputs are compared as the float32 numbers they stand for.
TEST_P(EveryLoss, ComparesBfloat16InFloat32) {
  Case exact = MakeCase({6, 3}, 8), half = MakeCase({6, 3}, 8);
  const auto round = [](std::vector<at::Tensor>& tensors, bool keep_half) {
    for (at::Tensor& tensor : tensors) {
      tensor = tensor.detach().to(at::kBFloat16);
      if (!keep_half) tensor = tensor.to(at::kFloat);
    }
  };
  for (Case* c : {&exact, &half}) {
    const bool keep_half = c == &half;
    round(c->teacher.attention_logits, keep_half);
    round(c->teacher.hidden_states, keep_half);
    round(c->outputs.attention_logits, keep_half);
    std::vector<at::Tensor> logits = {c->outputs.logits, c->teacher.logits};
    round(logits, keep_half);
    c->outputs.logits = logits[0];
    c->teacher.logits = logits[1];
    for (at::Tensor& leaf : c->Leaves()) leaf.requires_grad_();
  }
  EXPECT_EQ(loss_->Compute(half.input()).sum.scalar_type(), at::kFloat);
  EXPECT_NEAR(Sum(half) / Sum(exact), 1, 1e-6);
  const auto a = Gradients(exact), b = Gradients(half);
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].defined(), b[i].defined());
    if (!a[i].defined()) continue;
    EXPECT_EQ(b[i].scalar_type(), half.Leaves()[i].scalar_type());
    EXPECT_LE((a[i] - b[i].to(at::kFloat)).abs().max().item<double>(),
              0.004 * a[i].abs().max().item<double>())
        << i;
  }
}

TEST_P(EveryLoss, AutocastChangesTheProjectionOnly) {
  const Case c = MakeCase({6, 3}, 8);
  const double plain = Sum(c);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const LossSum cast = loss_->Compute(c.input());
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(cast.sum.scalar_type(), at::kFloat);
  EXPECT_NEAR(cast.sum.item<double>() / plain, 1, GetParam().hidden_states ? 0.01 : 1e-6);
}

// The loss with its defaults, and with each field of truth or choice at each of its values.
std::vector<proto::Loss> Variants(const LossEntry& entry) {
  using Field = google::protobuf::FieldDescriptor;
  std::vector<proto::Loss> variants;
  const auto add = [&](const std::string& fields) {
    ParseText(entry.name + " { " + fields + " }", "test", &variants.emplace_back());
  };
  add("");
  const auto* message = KindField(variants[0])->message_type();
  for (int i = 0; i < message->field_count(); ++i) {
    const Field& field = *message->field(i);
    if (field.is_repeated()) continue;
    if (field.cpp_type() == Field::CPPTYPE_BOOL)
      for (const std::string value : {"true", "false"}) add(field.name() + ": " + value);
    if (field.cpp_type() == Field::CPPTYPE_ENUM)
      for (int v = 0; v < field.enum_type()->value_count(); ++v)
        add(field.name() + ": " + field.enum_type()->value(v)->name());
  }
  return variants;
}

TEST_P(EveryLoss, ItsEntrySaysWhichLayersAndStatesItCompares) {
  const LossEntry& entry = GetParam();
  for (const proto::Loss& spec : Variants(entry)) {
    SCOPED_TRACE(CanonicalText(spec));
    const Case c = WithOwnLinears(MakeCase({5, 3}, 6), spec);
    const auto sum = entry.make(spec)->Compute(c.input()).sum;
    const auto reads = [&](const std::vector<at::Tensor>& tensors) {
      bool any = false;
      for (const auto& gradient : torch::autograd::grad({sum}, tensors, {}, true, false, true))
        any |= gradient.defined() && gradient.abs().max().item<double>() > 0;
      return any;
    };
    for (int state = 0; state < 3; ++state)
      EXPECT_EQ(reads({c.outputs.hidden_states[state]}), entry.ComparesState(spec, state, 2)) << state;
    for (int layer = 0; layer < 2; ++layer)
      EXPECT_EQ(reads({c.outputs.mixer_states[layer]}), entry.ComparesMixers(spec)) << layer;
    for (int layer = 0; layer < 2; ++layer) {
      const bool compares = entry.ComparesLayer(spec, layer, 2);
      const auto& projections = c.outputs.projections[layer];
      EXPECT_EQ(reads({c.outputs.attention_logits[layer]}), entry.attention_logits && compares) << layer;
      EXPECT_EQ(reads({projections.query, projections.key, projections.value}), entry.projections && compares)
          << layer;
    }
  }
}

TEST_P(EveryLoss, ItsEntrySaysWhetherItCountsPadding) {
  const LossEntry& entry = GetParam();
  for (const proto::Loss& spec : Variants(entry)) {
    SCOPED_TRACE(CanonicalText(spec));
    const auto count = [&](int64_t padded) {
      return entry.make(spec)->Compute(WithOwnLinears(MakeCase({5, 3}, padded), spec).input()).count;
    };
    EXPECT_EQ(count(5) != count(17), entry.counts_padding != nullptr && entry.counts_padding(spec));
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryLoss, testing::ValuesIn(Losses()),
                         [](const auto& info) { return info.param.name; });

TEST(Losses, AreTheCasesOfTheSchema) {
  const auto* kind = proto::Loss::descriptor()->FindOneofByName("kind");
  std::vector<std::string> schema, catalogue;
  for (int i = 0; i < kind->field_count(); ++i) schema.push_back(kind->field(i)->name());
  for (const LossEntry& entry : Losses()) catalogue.push_back(entry.name);
  EXPECT_THAT(catalogue, testing::UnorderedElementsAreArray(schema));
  EXPECT_TRUE(std::is_sorted(catalogue.begin(), catalogue.end()));
}

}  // namespace
}  // namespace thimble::distill
