// What must hold of every mixer, feed-forward block and embedding, fields drawn from their ranges. A new kind
// is tested by its line in the list. ONNX Runtime and transformers: tests/models/agreement_check.py.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <utility>

#include "base/error.h"
#include "models/crop.h"
#include "models/encoder/cost.h"
#include "models/encoder/encoder.h"
#include "models/encoder/experts.h"
#include "models/encoder/resolve.h"
#include "models/hub/pretrained.h"
#include "models/torch/autocast.h"
#include "models/torch/torch_ops.h"
#include "tests/kinds/draw.h"
#include "tests/models/differences.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

constexpr int kDraws = 4;
constexpr int kFfnHidden = 12;

struct Case {
  std::string catalogue, kind;
  int draw = 0;
};

void PrintTo(const Case& of, std::ostream* out) { *out << of.catalogue << " " << of.kind << " " << of.draw; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& catalogue, const auto& entries) {
    for (const auto& entry : entries)
      for (int draw = 0; draw < kDraws; ++draw) cases.push_back({catalogue, entry.name, draw});
  };
  add("mixer", Mixers());
  add("feed_forward", FeedForwards());
  add("embedding", Embeddings());
  for (const std::string& what : Structures())
    for (int draw = 0; draw < kDraws; ++draw) cases.push_back({"structure", what, draw});
  add("attention_bias", AttentionBiases());
  return cases;
}

// Two layers, the first of the kind, in each of the surroundings: hidden or bottleneck, shared queries and
// keys, LayerNorm or scale and shift.
proto::Architecture Draw(const Case& of, uint64_t seed = 1) {
  const char* const heads[] = {kTrigram, kNarrow, kShared, kPlain};
  Random random = Random(seed).Fork(of.catalogue + of.kind, static_cast<uint64_t>(of.draw));
  for (int tries = 0; tries < 200; ++tries) {
    // Other surroundings where a kind refuses these.
    proto::Architecture architecture = Architecture(std::string(heads[(of.draw + tries / 20) % 4]) +
                                                    LayerText(kGeluBlock) + LayerText(kGeluBlock, 2, "1/2"));
    architecture.set_ffn_hidden(kFfnHidden);
    const int outer =
        architecture.has_bottleneck() ? architecture.bottleneck().width() : architecture.hidden();
    auto* layer = architecture.mutable_layer(0);
    if (of.catalogue == "mixer") *layer->mutable_mixer() = DrawMixer(of.kind, &random);
    if (of.catalogue == "attention_bias") {
      *layer->mutable_mixer() = DrawBias(of.kind, &random);
      if (of.draw % 2 == 0) architecture.set_position_table(false);
    }
    if (of.catalogue == "feed_forward")
      *layer->mutable_ffn() = DrawFeedForward(of.kind, outer, kFfnHidden, &random);
    if (of.catalogue == "structure") {
      proto::FeedForward ffn =
          DrawFeedForward(OneOfKinds(FeedForwards(), &random).name, outer, kFfnHidden, &random);
      ffn.clear_groups();
      ffn.clear_monarch();
      ffn.clear_experts();
      DrawStructure(of.kind, &ffn, &random);
      if (ffn.has_merged())
        ffn.mutable_merged()->set_level(static_cast<proto::MergedExperts::Level>(of.draw % 3));
      *layer->mutable_ffn() = ffn;
    }
    if (of.catalogue == "embedding") *architecture.mutable_embedding() = DrawEmbedding(of.kind, &random);
    try {
      Resolve(architecture);
      return architecture;
    } catch (const Error&) {  // fields that do not go together
    }
  }
  ADD_FAILURE() << "no fields of " << of.kind << " go together";
  return {};
}

Model Shaken(const proto::Architecture& architecture, uint64_t seed = 7) {
  Model model = MakeModel(architecture, 3, 0, Random(seed));
  Shake(&model, seed);
  return model;
}

// The kind in the last layer, of which a pooled head reads the first token alone.
Model ShakenLast(const Case& of) {
  proto::Architecture architecture = Draw(of);
  architecture.mutable_layer()->SwapElements(0, 1);
  return Shaken(architecture);
}

// Multiply-adds of the products that are computed.
class CountingOps final : public TorchOps {
 public:
  using TorchOps::TorchOps;
  int64_t products = 0;

  Value Linear(std::string_view name, const Value& x, int out, LinearForm form) override {
    products += In(x).numel() / form.groups * out;
    if (!folded_) products += merging().experts * In(x).size(-1) * out;
    return TorchOps::Linear(name, x, out, form);
  }
  Value Attention(const Value& query, const Value& key, const Value& value, const Value& bias, Scores shown,
                  const Value& added) override {
    products += In(query).numel() * In(key).size(2) + In(query).size(2) * In(value).numel();
    return TorchOps::Attention(query, key, value, bias, shown, added);
  }
  Value KeyConvolution(std::string_view name, const Value& maps, int out, int kernel,
                       LinearForm form) override {
    const Value result = TorchOps::KeyConvolution(name, maps, out, kernel, form);
    products += In(result).numel() * In(maps).size(1) * kernel;
    return result;
  }
  Value Attend(const Value& scores, const Value& value, const Value& bias) override {
    // q k, and the shares times v.
    products += 2 * In(scores).numel() * In(value).size(3);
    return TorchOps::Attend(scores, value, bias);
  }
  Value ContractTokens(std::string_view name, const Value& a, const Value& b) override {
    products += In(a).numel() * In(b).size(3);
    return TorchOps::ContractTokens(name, a, b);
  }
  Value MatMul(std::string_view name, const Value& x, const Value& matrix) override {
    products += In(x).numel() * In(matrix).size(3);
    return TorchOps::MatMul(name, x, matrix);
  }
  Value Spectrum(std::string_view name, const Value& x, Transform how) override {
    products += (how == Transform::kDft ? 2 : 1) * In(x).numel() * (In(x).size(2) + In(x).size(3));
    return TorchOps::Spectrum(name, x, how);
  }
  Value LocalSum(std::string_view name, const Value& weights, const Value& x, int kernel) override {
    products += In(x).numel() * kernel;
    return TorchOps::LocalSum(name, weights, x, kernel);
  }
  Value Depthwise(std::string_view name, const Value& x, int kernel, bool starts_as_identity) override {
    products += In(x).numel() * (kernel < kLongKernel ? kernel : In(x).size(1));
    return TorchOps::Depthwise(name, x, kernel, starts_as_identity);
  }
  // Gates of the model are known before any row: experts are merged once.
  Value Parameter(std::string_view name, int width) override {
    folded_ = true;
    return TorchOps::Parameter(name, width);
  }
  Value MeanToken(std::string_view name, const Value& x) override {
    folded_ = false;
    return TorchOps::MeanToken(name, x);
  }

 private:
  bool folded_ = false;
};

// One thread: the models are so small that threads only wait for one another.
class EveryKindTest : public testing::TestWithParam<Case> {
 protected:
  EveryKindTest() : threads_(at::get_num_threads()) { at::set_num_threads(1); }
  ~EveryKindTest() override { at::set_num_threads(threads_); }

 private:
  int threads_;
};

at::Tensor Sum(const Outputs& outputs, const Batch& batch) {
  const at::Tensor mask = batch.mask.to(outputs.last_hidden_state.scalar_type()).unsqueeze(-1);
  at::Tensor sum = outputs.logits.sin().sum();
  for (const at::Tensor& hidden : outputs.hidden_states) sum = sum + (hidden.tanh() * mask).sum();
  return sum;
}

TEST_P(EveryKindTest, UsesWhatItDeclares) {
  Model model = Shaken(Draw(GetParam()));
  model.weights.RequireGrad(true);
  const Batch batch = MakeBatch({7, 4});
  Random random(3);  // of training: some weights are of its noise
  ForwardOptions options{.hidden_states = true};
  options.dropout = {0, &random};
  Sum(Forward(model, batch, options), batch).backward();
  for (const auto& [name, tensor] : model.weights) EXPECT_TRUE(tensor.grad().defined()) << name;
  EXPECT_EQ(DeployedParameters(model.shape, 3), model.weights.Elements());
}

TEST_P(EveryKindTest, GradientsAreDifferences) {
  Model model = Shaken(Draw(GetParam()));
  MakeDouble(&model);
  model.weights.RequireGrad(true);
  const Batch batch = MakeBatch({4, 6});
  const auto f = [&] {
    Random random(3);
    ForwardOptions options{.hidden_states = true};
    options.dropout = {0, &random};
    return Sum(Forward(model, batch, options), batch);
  };
  for (const auto& [name, tensor] : model.weights) CheckGradient(f, tensor, name, 1);
}

TEST_P(EveryKindTest, PaddingAndCompanyChangeNothing) {
  const Model model = Shaken(Draw(GetParam()));
  const at::NoGradGuard no_grad;
  const Batch together = MakeBatch({5, 9, 1}, 3, 12);
  const Outputs outputs = Forward(model, together);
  const std::vector<int> lengths = {5, 9, 1};
  for (int row = 0; row < 3; ++row) {
    Batch alone;
    for (auto [to, from] :
         {std::pair(&alone.ids, together.ids), std::pair(&alone.segments, together.segments),
          std::pair(&alone.mask, together.mask)})
      *to = from.narrow(0, row, 1).narrow(1, 0, lengths[row]).contiguous();
    const Outputs single = Forward(model, alone);
    EXPECT_LT(Difference(single.logits, outputs.logits.narrow(0, row, 1)), 2e-5) << row;
    EXPECT_LT(Difference(single.last_hidden_state,
                         outputs.last_hidden_state.narrow(0, row, 1).narrow(1, 0, lengths[row])),
              2e-5)
        << row;
  }
}

TEST_P(EveryKindTest, TheFirstTokenAloneSaysTheSame) {
  const Model model = ShakenLast(GetParam());
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({5, 9, 1}, 3, 12);
  const Outputs all = Forward(model, batch), one = Forward(model, batch, ForLogits(model));
  ASSERT_EQ(one.last_hidden_state.sizes(), at::IntArrayRef({3, 1, model.shape.hidden}));
  EXPECT_LT(Difference(one.last_hidden_state, all.last_hidden_state.narrow(1, 0, 1)), 1e-5);
  EXPECT_LT(Difference(one.logits, all.logits), 1e-5);
}

TEST_P(EveryKindTest, CostsWhatIsComputed) {
  const Model model = ShakenLast(GetParam());
  const at::NoGradGuard no_grad;
  constexpr int kLength = 7;
  const Batch row = MakeBatch({kLength});
  for (const TaskHead head : {TaskHead::kPooled, TaskHead::kTokens}) {
    const ForwardOptions options;
    CountingOps ops(model, row, options);
    Encode(model.shape, LastStates(head), ops);
    EXPECT_EQ(MultiplyAdds(model.shape, kLength, head), ops.products);
  }
  const int64_t pooled = MultiplyAdds(model.shape, kLength),
                tokens = MultiplyAdds(model.shape, kLength, TaskHead::kTokens);
  // Where a block looks at the row's other tokens the last layer computes all of them.
  if (ReadsOtherTokens(model.shape.layers.back().ffn))
    EXPECT_EQ(pooled, tokens);
  else
    EXPECT_LT(pooled, tokens);
}

// A kind whose entry says nothing of single queries: the walk takes the first token of the context of all.
TEST_P(EveryKindTest, AContextOfAllTokensDoesAsWell) {
  if (GetParam().catalogue != "mixer") return;
  const Model model = ShakenLast(GetParam());
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({5, 9, 1});
  bool& one_query = const_cast<MixerEntry&>(EntryOf(model.shape.layers.back().mixer)).one_query;  // NOLINT
  const bool before = std::exchange(one_query, false);
  const at::Tensor logits = Forward(model, batch, ForLogits(model)).logits;
  one_query = before;
  EXPECT_LT(Difference(logits, Forward(model, batch).logits), 1e-5);
}

// A layer of a supernet holds the kind and another mixer beside it, more blocks and wider ones.
TEST_P(EveryKindTest, AViewIsACopy) {
  proto::Architecture candidate = Draw(GetParam());
  proto::Architecture largest = candidate;
  auto* layer = largest.mutable_layer(0);
  layer->mutable_ffn()->set_stacks(4);
  const auto fits = [&] {
    try {
      Resolve(largest);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  const std::string ratio = layer->ffn().ratio();
  layer->mutable_ffn()->set_ratio("1");
  if (!fits()) layer->mutable_ffn()->set_ratio(ratio);  // an expression that needs its cut
  for (const MixerEntry& entry : Mixers()) {
    if (entry.name == EntryOf(layer->mixer()).name) continue;
    Random random(2);
    *layer->add_beside() = DrawMixer(entry.name, &random);
    if (fits()) break;
    layer->clear_beside();
  }
  const Model supernet = Shaken(largest);
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({6, 8});
  const auto same = [&](const proto::Architecture& architecture) {
    const ResolvedArchitecture shape = Resolve(architecture);
    const Model copy = CropCandidate(supernet, architecture);
    EXPECT_EQ(copy.weights.Elements(), DeployedParameters(shape, 3));
    EXPECT_TRUE(
        at::equal(Forward(supernet, batch, {.candidate = &shape}).logits, Forward(copy, batch).logits));
  };
  same(candidate);
  if (layer->beside_size() == 0) return;
  *candidate.mutable_layer(0)->mutable_mixer() = layer->beside(0);
  same(candidate);
}

TEST_P(EveryKindTest, RecomputedToTheSameBits) {
  Model model = Shaken(Draw(GetParam()));
  model.weights.RequireGrad(true);
  const Batch batch = MakeBatch({5, 8});
  std::vector<at::Tensor> gradients[2];
  std::vector<at::Tensor> taps[2];
  for (const bool recompute : {false, true}) {
    for (const auto& [name, tensor] : model.weights) tensor.mutable_grad() = at::Tensor();
    Random random(3);
    ForwardOptions options{.hidden_states = true,
                           .attention_logits = true,
                           .kernel_logits = true,
                           .projections = true,
                           .mixer_states = true,
                           .routing = true,
                           .recompute = recompute};
    options.dropout = {0.2, &random};
    const Outputs outputs = Forward(model, batch, options);
    at::Tensor sum = Sum(outputs, batch);
    for (const auto& scores : outputs.attention_logits)
      if (scores.defined()) sum = sum + scores.square().mean();
    for (const auto& logits : outputs.kernel_logits)
      if (logits.defined()) sum = sum + logits.square().mean();
    for (const auto& each : outputs.projections)
      if (each.query.defined()) sum = sum + (each.query * each.key).mean() + each.value.cos().sum();
    for (const auto& state : outputs.mixer_states) sum = sum + state.sin().sum();
    for (const auto& shares : outputs.routing)
      if (shares.defined()) sum = sum + shares.square().mean();
    sum.backward();
    taps[recompute] = outputs.attention_logits;
    for (const auto& [name, tensor] : model.weights) gradients[recompute].push_back(tensor.grad().clone());
  }
  for (size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_TRUE(at::equal(gradients[0][i], gradients[1][i])) << i;
  for (size_t i = 0; i < taps[0].size(); ++i) EXPECT_EQ(taps[0][i].defined(), taps[1][i].defined()) << i;
}

TEST_P(EveryKindTest, AutocastComesNear) {
  const Model model = Shaken(Draw(GetParam()));
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({6, 8});
  const at::Tensor plain = Forward(model, batch).logits;
  const Autocast autocast(true);
  const at::Tensor cast = Forward(model, batch).logits;
  EXPECT_LT(Difference(plain, cast), 0.1 * (1 + plain.abs().max().item<double>()));
}

// Scores and queries come from those mixers that the walk says have them, heads as many.
TEST_P(EveryKindTest, TapsAreAsTraced) {
  const Model model = Shaken(Draw(GetParam()));
  const at::NoGradGuard no_grad;
  const Outputs outputs = Forward(model, MakeBatch({6, 8}),
                                  {.attention_logits = true, .kernel_logits = true, .projections = true});
  for (size_t i = 0; i < model.shape.layers.size(); ++i) {
    const MixerSize size = SizeOf(model.shape, model.shape.layers[i].mixer);
    ASSERT_EQ(outputs.attention_logits[i].defined(), size.heads > 0);
    if (size.heads > 0) {
      EXPECT_EQ(outputs.attention_logits[i].size(1), size.heads);
    }
    ASSERT_EQ(outputs.kernel_logits[i].defined(), size.kernel_heads > 0);
    if (size.kernel_heads > 0) {
      EXPECT_EQ(outputs.kernel_logits[i].size(1), size.kernel_heads);
    }
    ASSERT_EQ(outputs.projections[i].query.defined(), size.projections);
    if (size.projections) {
      EXPECT_EQ(outputs.projections[i].query.size(2), size.context);
    }
  }
}

TEST_P(EveryKindTest, Crops) {
  const proto::Architecture small = Draw(GetParam());
  proto::Architecture large = small;  // everything twice as wide
  large.set_hidden(2 * small.hidden());
  large.set_ffn_hidden(2 * kFfnHidden);
  if (large.has_bottleneck()) large.mutable_bottleneck()->set_width(2 * small.bottleneck().width());
  try {
    Resolve(large);
  } catch (const Error&) {  // a ratio's width was rounded down before
    large.mutable_layer(0)->mutable_ffn()->set_ratio("1");
  }
  const Model larger = Shaken(large);
  const Model cropped = CropFrom(larger, small, {});
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : cropped.weights) {
    const at::Tensor& whole = larger.weights.at(name);
    ASSERT_EQ(whole.dim(), tensor.dim()) << name;
    EXPECT_EQ(whole.flatten()[0].item<float>(), tensor.flatten()[0].item<float>()) << name;
  }
  EXPECT_TRUE(Forward(cropped, MakeBatch({6, 8})).logits.isfinite().all().item<bool>());
}

TEST_P(EveryKindTest, SavedAndLoaded) {
  const Model model = Shaken(Draw(GetParam()));
  const std::string directory = testing::TempDir() + "/thimble_every_kind";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  SavePretrained(model, {"a", "b", "c"}, directory);
  const Pretrained loaded = LoadPretrained(directory);
  EXPECT_THAT(loaded.unused, testing::IsEmpty());
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({6, 8});
  EXPECT_TRUE(at::equal(Forward(model, batch).logits, Forward(loaded.model, batch).logits));
}

INSTANTIATE_TEST_SUITE_P(Catalogues, EveryKindTest, testing::ValuesIn(Cases()), [](const auto& of) {
  return of.param.catalogue + "_" + of.param.kind + "_" + std::to_string(of.param.draw);
});

}  // namespace
}  // namespace thimble::models
