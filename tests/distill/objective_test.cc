#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/distill/cases.h"

namespace thimble::distill {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string MessageOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  return "no error";
}

TEST(LayerMap, UniformTakesEveryLastLayer) {
  EXPECT_THAT(LayerMap(6, 12, {}), ElementsAre(2, 4, 6, 8, 10, 12));
  EXPECT_THAT(LayerMap(12, 12, {}), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  EXPECT_THAT(LayerMap(4, 12, {}), ElementsAre(3, 6, 9, 12));
  EXPECT_THAT(LayerMap(1, 6, {}), ElementsAre(6));
  EXPECT_THAT(LayerMap(3, 6, {}), ElementsAre(2, 4, 6));
}

TEST(LayerMap, AListIsTakenAsItIs) {
  EXPECT_THAT(LayerMap(4, 6, {1, 1, 6, 3}), ElementsAre(1, 1, 6, 3));
  EXPECT_THAT(LayerMap(4, 6, {2, 3, 5, 6}), ElementsAre(2, 3, 5, 6));
}

TEST(LayerMap, ErrorsNameDepthsAndAListThatFits) {
  EXPECT_THAT(MessageOf([] { LayerMap(4, 6, {}); }),
              AllOf(HasSubstr("4 layers"), HasSubstr("of 6"), HasSubstr("layer_map: [2, 3, 5, 6]")));
  EXPECT_THAT(MessageOf([] { LayerMap(12, 6, {}); }),
              HasSubstr("layer_map: [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]"));
  EXPECT_THAT(MessageOf([] { LayerMap(3, 6, {2, 4}); }), AllOf(HasSubstr("[2, 4]"), HasSubstr("3 numbers")));
  EXPECT_THAT(MessageOf([] { LayerMap(2, 6, {3, 7}); }), AllOf(HasSubstr("no layer 7"), HasSubstr("1 to 6")));
  EXPECT_THAT(MessageOf([] { LayerMap(2, 6, {0, 6}); }), HasSubstr("no layer 0"));
  // The list an error proposes must itself be accepted.
  EXPECT_THAT(LayerMap(12, 6, {1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6}), testing::SizeIs(12));
}

proto::Objective Spec(const std::string& text) {
  proto::Objective spec;
  ParseText(text, "test", &spec);
  return spec;
}

TEST(LayerMap, RulesChooseWhereNothingIsListed) {
  const auto map = [](const std::string& text, int student, int teacher) {
    return LayerMapOf(Spec(text), student, teacher);
  };
  EXPECT_THAT(map("", 3, 6), ElementsAre(2, 4, 6));
  EXPECT_THAT(map("layers: NEAREST", 4, 6), ElementsAre(2, 3, 5, 6));
  EXPECT_THAT(map("layers: NEAREST", 8, 6), ElementsAre(1, 2, 2, 3, 4, 5, 5, 6));
  EXPECT_THAT(map("layers: FIRST", 4, 6), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(map("layers: LAST", 4, 6), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(map("layers: LAST layer_map: [1, 6]", 2, 6), ElementsAre(1, 6));
  EXPECT_THAT(MessageOf([&] { map("layers: LAST", 7, 6); }),
              AllOf(HasSubstr("7 layers"), HasSubstr("NEAREST")));
  EXPECT_THAT(StatedLayers(Spec(""), 4, 6), testing::IsEmpty());
  EXPECT_THAT(StatedLayers(Spec("layers: FIRST"), 2, 6), ElementsAre(1, 2));
}

models::ResolvedArchitecture StudentShape(int layers = 2, int heads = kHeads) {
  models::ResolvedArchitecture shape;
  shape.vocabulary = kVocabulary;
  shape.hidden = kWidth;
  shape.heads = heads;
  shape.layers.resize(layers);
  for (auto& layer : shape.layers) layer.mixer.mutable_self_attention();
  return shape;
}

models::Model Teacher(int classes = kClasses) {
  models::Model teacher;
  teacher.shape = StudentShape(4);
  teacher.shape.hidden = kTeacherWidth;
  teacher.classes = classes;
  return teacher;
}

TEST(Objective, SaysWhatItNeeds) {
  const models::Model teacher = Teacher();
  const Objective all(
      Spec("loss {attention_scores {} weight: 2} loss {hidden_states {}} loss {soft_labels {}}"),
      StudentShape(), &teacher, false);
  EXPECT_TRUE(all.needs_scores() && all.needs_hidden() && all.needs_teacher());
  EXPECT_THAT(all.layer_map(), ElementsAre(2, 4));
  EXPECT_THAT(all.names(), ElementsAre("attention_scores", "hidden_states", "soft_labels"));
  EXPECT_THAT(all.weights(), ElementsAre(2, 1, 1));
  const Objective labels(Spec("loss {hard_labels {}}"), StudentShape(3), nullptr, true);
  EXPECT_FALSE(labels.needs_scores() || labels.needs_hidden() || labels.needs_teacher());
  EXPECT_THAT(labels.layer_map(), testing::IsEmpty());
}

TEST(Objective, LayersWithoutScoresAreLeftOutAndAnObjectiveThatComparesNothingIsRefused) {
  const models::Model teacher = Teacher();
  models::ResolvedArchitecture student = StudentShape();
  student.layers[0].mixer.mutable_uniform_attention();
  for (const char* loss : {"loss {attention_scores {}}", "loss {attention_distributions {}}"})
    EXPECT_NO_THROW(Objective(Spec(loss), student, &teacher, false)) << loss;
  // A kernel's shares can be compared, its scores cannot.
  student.layers[1].mixer.mutable_linear_attention();
  EXPECT_NO_THROW(Objective(Spec("loss {attention_distributions {}}"), student, &teacher, false));
  EXPECT_THAT(MessageOf([&] { Objective(Spec("loss {attention_scores {}}"), student, &teacher, false); }),
              HasSubstr("no layer that it looks at has any"));
  student.layers[1].mixer.mutable_uniform_attention();
  for (const char* loss :
       {"loss {attention_scores {}}", "loss {attention_distributions { last_layer: true }}"})
    EXPECT_THAT(MessageOf([&] { Objective(Spec(loss), student, &teacher, false); }),
                AllOf(HasSubstr("no layer that it looks at has any"), HasSubstr("uniform_attention"),
                      HasSubstr("states: MIXER")))
        << loss;
  EXPECT_THAT(MessageOf([&] { Objective(Spec("loss {minilm_relations {}}"), student, &teacher, false); }),
              HasSubstr("queries, keys and values"));
  EXPECT_NO_THROW(
      Objective(Spec("loss {minilm_relations { own_projections: true }}"), student, &teacher, false));
  const Objective mixers(Spec("loss {hidden_states { states: MIXER }}"), student, &teacher, false);
  EXPECT_TRUE(mixers.needs_mixers() && mixers.needs_teacher());
  EXPECT_FALSE(mixers.needs_hidden() || mixers.needs_scores());
  EXPECT_THAT(mixers.layer_map(), ElementsAre(2, 4));
  EXPECT_THAT(MessageOf([&] {
                Objective(Spec("loss {hidden_states { states: MIXER own_projections: true }}"), student,
                          &teacher, false);
              }),
              HasSubstr("own_projections"));
  student.bottleneck = kWidth / 2;
  EXPECT_THAT(
      MessageOf([&] { Objective(Spec("loss {hidden_states { states: MIXER }}"), student, &teacher, false); }),
      HasSubstr("bottleneck"));
}

TEST(Objective, DepthsMatterOnlyToLossesOverLayers) {
  const models::Model teacher = Teacher();
  EXPECT_NO_THROW(Objective(Spec("loss {soft_labels {}}"), StudentShape(3), &teacher, false));
  EXPECT_THAT(
      MessageOf([&] { Objective(Spec("loss {hidden_states {}}"), StudentShape(3), &teacher, false); }),
      HasSubstr("layer_map"));
  const Objective chosen(Spec("loss {hidden_states {}} layer_map: [1, 2, 4]"), StudentShape(3), &teacher,
                         false);
  EXPECT_THAT(chosen.layer_map(), ElementsAre(1, 2, 4));
}

TEST(Objective, ErrorsSayWhatToChange) {
  const models::Model teacher = Teacher(), headless = Teacher(0);
  const auto message = [&](const std::string& text, const models::ResolvedArchitecture& student,
                           const models::Model* with, bool labelled) {
    return MessageOf([&] { Objective(Spec(text), student, with, labelled); });
  };
  EXPECT_THAT(message("", StudentShape(), &teacher, true),
              AllOf(HasSubstr("no loss"), HasSubstr("hidden_states")));
  EXPECT_THAT(
      message("loss {hard_labels {}} loss {hidden_states {}}", StudentShape(), nullptr, true),
      AllOf(HasSubstr("loss[1]"), HasSubstr("hidden_states needs a teacher"), HasSubstr("hard_labels")));
  EXPECT_THAT(message("loss {attention_scores {}}", StudentShape(2, 5), &teacher, false),
              AllOf(HasSubstr("attention_scores"), HasSubstr("5 heads"), HasSubstr("2 in the teacher"),
                    HasSubstr("another attention loss")));
  EXPECT_THAT(message("loss {soft_labels {}}", StudentShape(), &headless, false),
              AllOf(HasSubstr("soft_labels"), HasSubstr("thimble finetune")));
  EXPECT_THAT(message("loss {hard_labels {}}", StudentShape(), &teacher, false),
              AllOf(HasSubstr("hard_labels"), HasSubstr("labels")));
  for (const char* text : {"loss {soft_labels {temperature: 0}}", "loss {soft_labels {temperature: 101}}",
                           "loss {hard_labels {} weight: -1}", "layer_map: [0] loss {hard_labels {}}"}) {
    proto::Objective spec;
    EXPECT_THROW(ParseText(text, "test", &spec), Error) << text;
  }
}

TEST(Objective, ABalanceWithoutRoutersIsRefused) {
  auto student = StudentShape();
  for (auto& layer : student.layers) layer.ffn.set_expression("linear(relu(linear(x,wb1)),wb2)");
  const auto make = [&] { Objective(Spec("loss {expert_balance {}}"), student, nullptr, false); };
  EXPECT_THAT(MessageOf(make), AllOf(HasSubstr("loss[0]"), HasSubstr("expert_balance looks at routers"),
                                     HasSubstr("routed {}")));
  student.layers[1].ffn.mutable_routed();
  EXPECT_EQ(MessageOf(make), "no error");
}

TEST(Objective, OnTextLeavesOutWhatNeedsATask) {
  const auto all = Spec(
      "loss {hard_labels {}} loss {attention_scores {}} loss {soft_labels {}} loss {minilm_relations {}}");
  const auto kept = ObjectiveOnText(all, false, "--corpus");
  ASSERT_EQ(kept.loss_size(), 2);
  EXPECT_TRUE(kept.loss(0).has_attention_scores());
  EXPECT_TRUE(kept.loss(1).has_minilm_relations());
  EXPECT_EQ(ObjectiveOnText(all, true, "--corpus").loss_size(), 4);
  EXPECT_THAT(
      MessageOf([] { ObjectiveOnText(Spec("loss {soft_labels {}}"), false, "--corpus"); }),
      AllOf(HasSubstr("--corpus: "), HasSubstr("got soft_labels alone"),
            HasSubstr("attention_distributions, attention_scores, hidden_states, minilm_relations;")));
}

TEST(Objective, TotalIsTheWeightedSumOfMeans) {
  const models::Model teacher = Teacher();
  const Objective objective(Spec("loss {attention_scores {} weight: 2} loss {hidden_states {} weight: 0.5}"
                                 "loss {soft_labels {temperature: 2}} loss {hard_labels {} weight: 0}"),
                            StudentShape(), &teacher, true);
  const Case c = MakeCase({5, 2}, 6);
  const auto sums = objective.Compute(c.student, c.outputs, &c.teacher, c.batch);
  ASSERT_EQ(sums.size(), 4u);
  double want = 0;
  const char* texts[] = {"attention_scores {}", "hidden_states {}", "soft_labels {temperature: 2}",
                         "hard_labels {}"};
  for (size_t i = 0; i < 4; ++i) {
    const LossSum one = MakeLoss(texts[i])->Compute(c.input());
    EXPECT_EQ(sums[i].sum.item<float>(), one.sum.item<float>()) << texts[i];
    EXPECT_EQ(sums[i].count, one.count);
    want += objective.weights()[i] * one.sum.item<double>() / one.count;
  }
  const at::Tensor total = objective.Total(sums);
  EXPECT_NEAR(total.item<double>() / want, 1, 1e-6);
  total.backward();
  for (const at::Tensor& leaf : c.outputs.attention_logits) EXPECT_TRUE(leaf.grad().defined());
  for (const at::Tensor& leaf : c.outputs.hidden_states) EXPECT_TRUE(leaf.grad().defined());
  EXPECT_TRUE(c.outputs.logits.grad().defined());
}

TEST(Objective, WeightsMoveFromTheFirstToTheLast) {
  const models::Model teacher = Teacher();
  const Objective objective(
      Spec("loss {hidden_states {} weight: 1 final_weight: 0} loss {soft_labels {} weight: 0.5}"),
      StudentShape(), &teacher, false);
  EXPECT_THAT(objective.weights(0), ElementsAre(1, 0.5));
  EXPECT_THAT(objective.weights(0.75), ElementsAre(0.25, 0.5));
  EXPECT_THAT(objective.weights(), ElementsAre(0, 0.5));
  const Case c = MakeCase({5, 2}, 6);
  const auto sums = objective.Compute(c.student, c.outputs, &c.teacher, c.batch);
  const double states = sums[0].sum.item<double>() / sums[0].count,
               labels = sums[1].sum.item<double>() / sums[1].count;
  EXPECT_NEAR(objective.Total(sums, 0.25).item<double>(), 0.75 * states + 0.5 * labels, 1e-5);
  EXPECT_NEAR(objective.Total(sums).item<double>(), 0.5 * labels, 1e-6);
}

TEST(Objective, ALossThatABatchHasNothingForIsLeftOut) {
  const models::Model teacher = Teacher();
  const Objective objective(Spec("loss {hidden_states {} weight: 3} loss {soft_labels {}}"), StudentShape(),
                            &teacher, false);
  const Case c = MakeCase({5, 2}, 6);
  auto sums = objective.Compute(c.student, c.outputs, &c.teacher, c.batch);
  const double states = 3 * sums[0].sum.item<double>() / sums[0].count;
  EXPECT_GT(objective.Total(sums, 1).item<double>(), states);
  sums[1] = {at::zeros({}), 0};
  EXPECT_FLOAT_EQ(objective.Total(sums, 1).item<double>(), states);
  sums[0] = {at::zeros({}), 0};
  const at::Tensor nothing = objective.Total(sums, 1);
  EXPECT_EQ(nothing.item<double>(), 0);
  EXPECT_FALSE(nothing.requires_grad());
}

TEST(Objective, ProgressiveComparesOneLayerInEachPhase) {
  const models::Model teacher = Teacher();
  const std::string losses = "loss {attention_scores {}} loss {hidden_states {}} loss {soft_labels {}}";
  const Objective all(Spec(losses), StudentShape(), &teacher, false),
      progressive(Spec(losses + " progressive: true"), StudentShape(), &teacher, false);
  const Case c = MakeCase({5, 2}, 6);
  const auto whole = all.Compute(c.student, c.outputs, &c.teacher, c.batch);
  const auto held_out = progressive.Compute(c.student, c.outputs, &c.teacher, c.batch);
  const auto first = progressive.Compute(c.student, c.outputs, &c.teacher, c.batch, 0.49),
             second = progressive.Compute(c.student, c.outputs, &c.teacher, c.batch, 0.5),
             last = progressive.Compute(c.student, c.outputs, &c.teacher, c.batch, 1);
  for (size_t i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    const double value = whole[i].sum.item<double>();
    EXPECT_EQ(held_out[i].sum.item<double>(), value);
    EXPECT_EQ(second[i].sum.item<double>(), last[i].sum.item<double>());
    EXPECT_EQ(first[i].count, whole[i].count);
    if (i == 2) {
      EXPECT_EQ(first[i].sum.item<double>(), value);
    } else {
      EXPECT_GT(first[i].sum.item<double>(), 0);
      EXPECT_GT(second[i].sum.item<double>(), 0);
      EXPECT_NEAR(first[i].sum.item<double>() + second[i].sum.item<double>(), value, 1e-5 * value);
    }
  }
  const auto states = [&](const std::string& which, double progress) {
    return Objective(Spec("loss {hidden_states {states: " + which + "}} progressive: true"), StudentShape(),
                     &teacher, false)
        .Compute(c.student, c.outputs, &c.teacher, c.batch, progress)[0]
        .sum.item<double>();
  };
  const Objective last_layer(Spec("loss {attention_distributions {last_layer: true}} progressive: true"),
                             StudentShape(), &teacher, false);
  const auto shares = [&](double progress) {
    return last_layer.Compute(c.student, c.outputs, &c.teacher, c.batch, progress)[0];
  };
  EXPECT_EQ(shares(0).sum.item<double>(), 0);
  EXPECT_GT(shares(0.9).sum.item<double>(), 0);
  EXPECT_EQ(shares(0).count, shares(0.9).count);
  EXPECT_EQ(states("LAST", 0), 0);
  EXPECT_GT(states("LAST", 0.9), 0);
  EXPECT_GT(states("EMBEDDING", 0), 0);
  EXPECT_EQ(states("EMBEDDING", 0.9), 0);
  EXPECT_THAT(MessageOf([&] {
                Objective(Spec("loss {soft_labels {}} progressive: true"), StudentShape(), &teacher, false);
              }),
              HasSubstr("objective.progressive"));
}

TEST(Objective, RelationsNameTheTeacherLayerAndTheirHeads) {
  models::Model teacher = Teacher();
  const auto make = [&](const std::string& options) {
    return Objective(Spec("loss {minilm_relations {" + options + "}}"), StudentShape(3), &teacher, false);
  };
  EXPECT_THAT(make("").projection_layers(), ElementsAre(3));
  EXPECT_THAT(make("teacher_layer: 2").projection_layers(), ElementsAre(1));
  EXPECT_TRUE(make("").needs_projections());
  EXPECT_FALSE(make("").needs_scores());
  EXPECT_THAT(MessageOf([&] { make("heads: 5"); }),
              AllOf(HasSubstr("minilm_relations.heads"), HasSubstr("10 and 14")));
  EXPECT_THAT(MessageOf([&] { make("teacher_layer: 5"); }), HasSubstr("1 to 4"));
  EXPECT_THAT(MessageOf([&] {
                Objective(Spec("loss {hidden_states {states: INNER}}"), StudentShape(1), &teacher, false);
              }),
              HasSubstr("hidden_states.states"));
  EXPECT_THAT(MessageOf([&] {
                Objective(Spec("loss {attention_distributions {divergence: AVERAGED_CROSS_ENTROPY}}"),
                          StudentShape(), &teacher, false);
              }),
              HasSubstr("KL or CROSS_ENTROPY"));
}

TEST(Objective, MissingOutputsAreBrokenInvariants) {
  const models::Model teacher = Teacher();
  const Objective objective(Spec("loss {hidden_states {}}"), StudentShape(), &teacher, false);
  Case c = MakeCase({5, 2}, 6);
  EXPECT_THROW(objective.Compute(c.student, c.outputs, nullptr, c.batch), std::logic_error);
  c.outputs.hidden_states.pop_back();
  EXPECT_THROW(objective.Compute(c.student, c.outputs, &c.teacher, c.batch), std::logic_error);
}

}  // namespace
}  // namespace thimble::distill
