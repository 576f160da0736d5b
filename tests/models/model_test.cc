#include "models/model.h"
#include "models/encoder/resolve.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/arch/expression_sampling.h"
#include "models/encoder/cost.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHeads[] = {kTrigram, kPlain, kFactorised, kShared, kNarrow};
const std::vector<std::string> kRatios = {"1", "1/2", "1/3", "1/4"};

// Three layers with drawn expressions, stacks and ratios over `head` with FFN base `ffn`.
std::string RandomArchitecture(const std::string& head, int ffn, Random* random) {
  ExpressionRules rules = PublishedRules({});
  const int width = Resolve(Architecture(head + LayerText(kGeluBlock))).block_width();
  for (const std::string& ratio : kRatios) rules.widths.push_back({width, RatioWidth(ratio, ffn)});
  const ExpressionSampler sampler(rules);
  std::string text = head + " ffn_hidden: " + std::to_string(ffn);
  for (int i = 0; i < 3; ++i) {
    text += LayerText(sampler.Draw(random).ToString(), 1 + static_cast<int>(random->Below(4)),
                      kRatios[random->Below(4)]);
  }
  return text;
}

std::string Supernet(const std::string& head, int ffn) {
  return head + " ffn_hidden: " + std::to_string(ffn) + LayerText(kGeluBlock, 4) + LayerText(kGeluBlock, 4) +
         LayerText(kGeluBlock, 4);
}

TEST(ModelTest, CountedParametersEqualTheFormulas) {
  Random random(3);
  for (int i = 0; i < 10; ++i) {
    const char* head = kHeads[i % 5];
    const Model model =
        MakeModel(Architecture(RandomArchitecture(head, i < 4 ? 12 : 31, &random)), 3, 20, random);
    int64_t pooler_and_head = 0;
    for (const char* name : {"pooler.weight", "pooler.bias", "head.weight", "head.bias"}) {
      pooler_and_head += model.weights.at(name).numel();
    }
    const int64_t all = model.weights.Elements();
    const int64_t fit =
        model.weights.at("fit_dense.weight").numel() + model.weights.at("fit_dense.bias").numel();
    EXPECT_EQ(all - fit, DeployedParameters(model.shape, 3));
    EXPECT_EQ(all - pooler_and_head, PaperParameters(model.shape, 20));
  }
}

TEST(ModelTest, AHeadOnTokensReadsEachLastState) {
  const std::string text = kPlain + std::string(" ffn_hidden: 20") + LayerText(kGeluBlock, 2);
  Model model = MakeModel(Architecture(text), 2, 20, Random(3), TaskHead::kTokens);
  Shake(&model, 3);
  EXPECT_FALSE(model.weights.Has("pooler.weight"));
  const int64_t fit =
      model.weights.at("fit_dense.weight").numel() + model.weights.at("fit_dense.bias").numel();
  EXPECT_EQ(model.weights.Elements() - fit, DeployedParameters(model.shape, 2, TaskHead::kTokens));
  const Outputs outputs = Forward(model, MakeBatch({5, 9}));
  EXPECT_EQ(outputs.logits.sizes(), at::IntArrayRef({2, 9, 2}));
  EXPECT_LT(Difference(outputs.logits, at::linear(outputs.last_hidden_state, model.weights.at("head.weight"),
                                                  model.weights.at("head.bias"))),
            1e-6);
  // Padding does not change a row.
  const at::Tensor alone = Forward(model, MakeBatch({5})).logits;
  EXPECT_LT(Difference(outputs.logits.slice(0, 0, 1).slice(1, 0, 5), alone), 1e-5);
  const Model copy =
      CropCandidate(model, Architecture(kPlain + std::string(" ffn_hidden: 20") + LayerText(kGeluBlock)));
  EXPECT_EQ(copy.head, TaskHead::kTokens);
  EXPECT_TRUE(at::equal(copy.weights.at("head.weight"), model.weights.at("head.weight")));
}

TEST(ModelTest, InitialValues) {
  const Model model =
      MakeModel(Architecture("vocabulary: 2000 hidden: 24 heads: 2 embedding { trigram { width: 30 } }" +
                             LayerText(kGeluBlock)),
                2, 0, Random(1));
  const at::Tensor tokens = model.weights.at("embedding.token");
  EXPECT_NEAR(tokens.mean().item<double>(), 0, 0.02 * 5 / std::sqrt(60000.0));
  EXPECT_NEAR(tokens.std().item<double>(), 0.02, 0.0005);
  EXPECT_EQ(model.weights.at("layer.0.ffn.0.norm.weight").min().item<float>(), 1);
  EXPECT_EQ(model.weights.at("layer.0.attention.query.bias").abs().max().item<float>(), 0);
  EXPECT_EQ(model.weights.at("embedding.norm.bias").abs().max().item<float>(), 0);
  EXPECT_FALSE(model.weights.Has("fit_dense.weight"));
}

// A row's results must not depend on how far the other rows of its batch reach.
TEST(ModelTest, PaddingDoesNotChangeARow) {
  for (const char* head : kHeads) {
    const Model model = ShakenModel(std::string(head) + LayerText(kGeluBlock, 2, "1/2") +
                                    LayerText("add(x,linear(relu(linear(x,wb1)),wb2))"));
    for (const bool scores : {false, true}) {
      ForwardOptions options;
      options.hidden_states = true;
      options.attention_logits = scores;
      const Outputs alone = Forward(model, MakeBatch({7}), options);
      const Outputs padded = Forward(model, MakeBatch({7, 19}), options);
      EXPECT_LT(Difference(alone.logits[0], padded.logits[0]), 1e-5);
      for (size_t i = 0; i < alone.hidden_states.size(); ++i) {
        EXPECT_LT(Difference(alone.hidden_states[i][0], padded.hidden_states[i][0].narrow(0, 0, 7)), 1e-5)
            << head << i;
      }
      for (size_t i = 0; i < alone.attention_logits.size(); ++i) {
        const at::Tensor real = padded.attention_logits[i][0].narrow(1, 0, 7).narrow(2, 0, 7);
        EXPECT_LT(Difference(alone.attention_logits[i][0], real), 1e-5);
      }
    }
  }
}

TEST(ModelTest, TrigramIsNextCurrentPreviousWithZerosAtTheEnds) {
  const Model model = ShakenModel(std::string(kTrigram) + LayerText(kGeluBlock));
  const Batch batch = MakeBatch({3, 5});
  const at::Tensor input = EmbeddingInput(model, batch);
  const at::Tensor table = model.weights.at("embedding.token");
  auto token = [&](int row, int i) { return table[batch.ids[row][i].item<int64_t>()]; };
  const at::Tensor zero = at::zeros({5});
  EXPECT_TRUE(at::equal(input[0][0], at::cat({token(0, 1), token(0, 0), zero})));
  EXPECT_TRUE(at::equal(input[0][1], at::cat({token(0, 2), token(0, 1), token(0, 0)})));
  EXPECT_TRUE(at::equal(input[0][2], at::cat({zero, token(0, 2), token(0, 1)})));  // padding follows
  EXPECT_TRUE(at::equal(input[1][4], at::cat({zero, token(1, 4), token(1, 3)})));  // the tensor ends
}

TEST(ModelTest, AFactorisedEmbeddingIsTheProductOfItsFactors) {
  const Model model = ShakenModel(std::string(kFactorised) + LayerText(kGeluBlock));
  const at::Tensor bias = model.weights.at("embedding.project.bias");
  Model plain = ShakenModel(std::string(kPlain) + LayerText(kGeluBlock));
  for (const auto& [name, tensor] : plain.weights)
    if (name != "embedding.token") plain.weights.at(name) = model.weights.at(name);
  plain.weights.at("embedding.token") =
      at::linear(model.weights.at("embedding.token"), model.weights.at("embedding.project.weight"), bias);
  const Batch batch = MakeBatch({3, 8});
  EXPECT_LT(Difference(Forward(model, batch).logits, Forward(plain, batch).logits), 1e-4);
  EXPECT_EQ(EmbeddingInput(model, batch).sizes(), at::IntArrayRef({2, 8, 5}));
}

TEST(ModelTest, ScoresAndTheFusedAttentionAgree) {
  const Model model = ShakenModel(std::string(kTrigram) + LayerText(kGeluBlock) + LayerText(kGeluBlock));
  const Batch batch = MakeBatch({4, 11, 20});
  ForwardOptions with_scores;
  with_scores.attention_logits = true;
  const Outputs fused = Forward(model, batch), explicit_one = Forward(model, batch, with_scores);
  EXPECT_LT(Difference(fused.logits, explicit_one.logits), 1e-5);
  ASSERT_EQ(explicit_one.attention_logits.size(), 2u);
  EXPECT_EQ(explicit_one.attention_logits[0].sizes(), at::IntArrayRef({3, 3, 20, 20}));
  EXPECT_TRUE(fused.attention_logits.empty() && fused.hidden_states.empty());
}

TEST(ModelTest, TheFirstTokenAloneWhereNoOtherIsRead) {
  const std::string text = kPlain + std::string(LayerText(kGeluBlock)) + LayerText(kGeluBlock);
  const Model pooled = ShakenModel(text), bare = ShakenModel(text, 0);
  const Model spans = MakeModel(Architecture(text), 2, 0, Random(3), TaskHead::kTokens);
  EXPECT_TRUE(ForLogits(pooled).first_token_only);
  EXPECT_FALSE(ForLogits(bare).first_token_only);
  EXPECT_FALSE(ForLogits(spans).first_token_only);
  const Batch batch = MakeBatch({4, 11});
  for (const ForwardOptions& asked :
       {ForwardOptions{.hidden_states = true}, ForwardOptions{.attention_logits = true},
        ForwardOptions{.projections = true}}) {
    EXPECT_FALSE(ForLogits(pooled, asked).first_token_only);
    ForwardOptions both = asked;
    both.first_token_only = true;
    EXPECT_THROW(Forward(pooled, batch, both), std::logic_error);
  }
  EXPECT_THROW(Forward(bare, batch, {.first_token_only = true}), std::logic_error);
  EXPECT_THROW(Forward(spans, batch, {.first_token_only = true}), std::logic_error);
  const Outputs outputs = Forward(pooled, batch, {.first_token_only = true});
  EXPECT_EQ(outputs.last_hidden_state.sizes(), at::IntArrayRef({2, 1, 12}));
  EXPECT_LT(Difference(outputs.logits, Forward(pooled, batch).logits), 1e-5);
  // A view of a supernet, and its copy.
  const Model supernet = ShakenModel(Supernet(kPlain, 12));
  const auto small = Architecture(kPlain + std::string(" ffn_hidden: 12") + LayerText(kGeluBlock, 2) +
                                  LayerText(kGeluBlock) + LayerText(kGeluBlock, 3, "1/2"));
  const ResolvedArchitecture shape = Resolve(small);
  const Model copy = CropCandidate(supernet, small);
  EXPECT_TRUE(at::equal(Forward(supernet, batch, ForLogits(supernet, {.candidate = &shape})).logits,
                        Forward(copy, batch, ForLogits(copy)).logits));
}

TEST(ModelTest, CandidateViewEqualsItsCopy) {
  Random random(11);
  for (int i = 0; i < 15; ++i) {
    const char* head = kHeads[i % 5];
    const int ffn = i % 3 ? 12 : 31;
    const Model supernet = ShakenModel(Supernet(head, ffn), 3, 20);
    const proto::Architecture architecture = Architecture(RandomArchitecture(head, ffn, &random));
    const Model copy = CropCandidate(supernet, architecture);
    const ResolvedArchitecture shape = Resolve(architecture);
    const Batch batch = MakeBatch({5, 9, 20}, i);
    ForwardOptions view;
    view.candidate = &shape;
    view.hidden_states = view.attention_logits = true;
    ForwardOptions whole = view;
    whole.candidate = nullptr;
    const Outputs a = Forward(supernet, batch, view), b = Forward(copy, batch, whole);
    EXPECT_TRUE(at::equal(a.logits, b.logits)) << Difference(a.logits, b.logits);
    for (size_t n = 0; n < a.hidden_states.size(); ++n)
      EXPECT_TRUE(at::equal(a.hidden_states[n], b.hidden_states[n]));
    EXPECT_EQ(copy.weights.Elements() - copy.weights.at("fit_dense.weight").numel() - 20,
              DeployedParameters(shape, 3));
    EXPECT_EQ(copy.teacher_hidden, 20);
  }
}

TEST(ModelTest, ACandidateKeepsTheOwnProjectionsOfItsStates) {
  Model supernet = ShakenModel(Supernet(kTrigram, 12), 3, 20);
  AddOwnProjections(&supernet, {1, 3});
  const Model copy = CropCandidate(
      supernet, Architecture(std::string(kTrigram) + " ffn_hidden: 12" + LayerText(kGeluBlock, 2) +
                             LayerText(kGeluBlock) + LayerText(kGeluBlock, 1, "1/2")));
  for (const std::string name : {"fit_dense.1.weight", "fit_dense.3.weight", "fit_dense.3.bias"}) {
    EXPECT_TRUE(at::equal(copy.weights.at(name), supernet.weights.at(name))) << name;
    EXPECT_NE(copy.weights.at(name).const_data_ptr(), supernet.weights.at(name).const_data_ptr()) << name;
  }
  EXPECT_FALSE(copy.weights.Has("fit_dense.2.weight"));
}

// Sun et al., ACL 2020, figure 1c, by hand. What transformers computes: checkpoints_test.
TEST(ModelTest, ABottleneckLayer) {
  for (const char* head : {kShared, kNarrow}) {
    const Model model = ShakenModel(std::string(head) + LayerText("linear(relu(linear(x,wb1)),wb2)", 2));
    const bool shared = model.shape.share_query_key;
    const Batch batch = MakeBatch({7, 4});
    ForwardOptions options;
    options.hidden_states = options.attention_logits = options.projections = true;
    const Outputs outputs = Forward(model, batch, options);
    const auto linear = [&](const std::string& name, const at::Tensor& x) { return Linear(model, name, x); };
    const auto norm = [&](const std::string& name, const at::Tensor& x) {
      if (!shared) return LayerNorm(model, name, x);
      return x * model.weights.at(name + ".weight") + model.weights.at(name + ".bias");
    };
    const std::string layer = "layer.0.", narrow = layer + "bottleneck.", attention = layer + "attention.";
    const at::Tensor x = outputs.hidden_states[0];
    const at::Tensor in = norm(narrow + "in.norm", linear(narrow + "in", x));
    const at::Tensor qk = shared ? norm(narrow + "qk.norm", linear(narrow + "qk", x)) : in;
    const Projections& projections = outputs.projections[0];
    EXPECT_LT(Difference(projections.query, linear(attention + "query", qk)), 1e-5);
    EXPECT_LT(Difference(projections.key, linear(attention + "key", qk)), 1e-5);
    EXPECT_LT(Difference(projections.value, linear(attention + "value", shared ? x : in)), 1e-5);
    EXPECT_EQ(outputs.attention_logits[0].size(1), model.shape.heads);
    const at::Tensor context =
        ComputeMixer(model, 0, model.shape.layers[0].mixer, qk, batch, {}, shared ? &x : &in).context;
    at::Tensor y = norm(attention + "norm", in + linear(attention + "out", context));
    for (const char* block : {"ffn.0.", "ffn.1."})
      y = norm(layer + block + "norm",
               y + linear(layer + block + "down", at::relu(linear(layer + block + "up", y))));
    EXPECT_LT(Difference(outputs.last_hidden_state, norm(narrow + "out.norm", x + linear(narrow + "out", y))),
              1e-4)
        << head;
  }
}

TEST(ModelTest, CopySharesNothing) {
  const Model supernet = ShakenModel(Supernet(kPlain, 12));
  const Model copy = CropCandidate(supernet, supernet.architecture);
  for (const auto& [name, tensor] : copy.weights) {
    EXPECT_NE(tensor.const_data_ptr(), supernet.weights.at(name).const_data_ptr()) << name;
    EXPECT_TRUE(at::equal(tensor, supernet.weights.at(name)));
  }
}

TEST(ModelTest, CopyRefusesWhatTheSupernetLacks) {
  const Model supernet = ShakenModel(Supernet(kPlain, 12));
  auto copy = [&](const std::string& text) { CropCandidate(supernet, Architecture(text)); };
  const std::string two = LayerText(kGeluBlock) + LayerText(kGeluBlock);
  EXPECT_THROW(copy(kPlain + two), std::logic_error);
  EXPECT_THROW(copy(kTrigram + two + LayerText(kGeluBlock)), std::logic_error);
  EXPECT_THROW(copy(kPlain + std::string(" norm: NO_NORM") + two + LayerText(kGeluBlock)), std::logic_error);
  EXPECT_THROW(copy(kPlain + std::string(" bottleneck { width: 6 }") + two + LayerText(kGeluBlock)),
               std::logic_error);
  EXPECT_THROW(copy(kPlain + two + LayerText(kGeluBlock, 5)), std::logic_error);
  EXPECT_THROW(copy(kPlain + std::string(" ffn_hidden: 24") + two + LayerText(kGeluBlock)), std::logic_error);
}

TEST(ModelTest, GradientReachesTheSharedWeightsInsideTheViewOnly) {
  Model supernet = ShakenModel(Supernet(kTrigram, 12));
  supernet.weights.RequireGrad(true);
  const ResolvedArchitecture shape =
      Resolve(Architecture(std::string(kTrigram) + LayerText(kGeluBlock, 1, "1/3") +
                           LayerText(kGeluBlock, 2, "1/2") + LayerText(kGeluBlock, 1)));
  ForwardOptions options;
  options.candidate = &shape;
  Forward(supernet, MakeBatch({5, 9}), options).logits.square().sum().backward();
  const at::Tensor up = supernet.weights.at("layer.0.ffn.0.up.weight").grad();
  EXPECT_GT(up.narrow(0, 0, 4).abs().min().item<float>(), 0);
  EXPECT_EQ(up.narrow(0, 4, 8).abs().max().item<float>(), 0);
  const at::Tensor down = supernet.weights.at("layer.0.ffn.0.down.weight").grad();
  EXPECT_GT(down.narrow(1, 0, 4).abs().sum().item<float>(), 0);
  EXPECT_EQ(down.narrow(1, 4, 8).abs().max().item<float>(), 0);
  EXPECT_FALSE(supernet.weights.at("layer.0.ffn.1.up.weight").grad().defined());
  EXPECT_TRUE(supernet.weights.at("layer.1.ffn.1.up.weight").grad().defined());
}

TEST(ModelTest, DropoutFollowsItsStream) {
  const Model model = ShakenModel(std::string(kTrigram) + LayerText(kGeluBlock, 2));
  const Batch batch = MakeBatch({6, 12});
  auto run = [&](uint64_t seed) {
    Random random(seed);
    ForwardOptions options;
    options.dropout = {0.1, &random};
    const at::Tensor logits = Forward(model, batch, options).logits;
    // Embedding, attention probabilities, attention output, two blocks, pooler: one draw each.
    EXPECT_EQ(random.counter(), 6u);
    return logits;
  };
  EXPECT_TRUE(at::equal(run(1), run(1)));
  EXPECT_GT(Difference(run(1), run(2)), 1e-3);
  EXPECT_GT(Difference(run(1), Forward(model, batch).logits), 1e-3);
}

TEST(ModelTest, RunsUnderBfloat16Autocast) {
  Model model =
      ShakenModel(std::string(kTrigram) + LayerText("linear(max(gelu(linear(x,wb1)),x),wb2)", 2, "1/2"));
  // Widths as trained models have them: the noise of the fixture is for small sums.
  model.weights.RequireGrad(true);
  const Batch batch = MakeBatch({6, 12});
  const Outputs exact = Forward(model, batch);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  Random random(1);
  ForwardOptions options;
  options.hidden_states = options.attention_logits = true;
  const Outputs rough = Forward(model, batch, options);
  options.dropout = {0.1, &random};
  const Outputs dropped = Forward(model, batch, options);
  // A bfloat16 input meets float32 weights.
  const at::Tensor norm = LayerNorm(model, "embedding.norm", rough.last_hidden_state.to(at::kBFloat16));
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_EQ(rough.logits.scalar_type(), at::kBFloat16);
  EXPECT_EQ(rough.last_hidden_state.scalar_type(), at::kFloat) << "the residual stream keeps full precision";
  EXPECT_LT(Difference(rough.last_hidden_state, exact.last_hidden_state), 0.2);
  EXPECT_GT(Difference(rough.last_hidden_state, exact.last_hidden_state), 0);
  EXPECT_EQ(norm.sizes(), rough.last_hidden_state.sizes());
  (dropped.logits.sum() + norm.sum()).backward();
  for (const auto& [name, tensor] : model.weights) {
    EXPECT_TRUE(tensor.grad().defined() && tensor.grad().isfinite().all().item<bool>()) << name;
  }
}

TEST(ModelTest, TooLongABatchIsAnError) {
  const Model model = ShakenModel(std::string(kPlain) + LayerText(kGeluBlock));
  try {
    Forward(model, MakeBatch({21}));
    FAIL() << "21 tokens in 20 positions";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("21 tokens"));
    EXPECT_THAT(error.what(), HasSubstr("at most 20"));
  }
}

}  // namespace
}  // namespace thimble::models
