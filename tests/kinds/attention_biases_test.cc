// What is added to attention's scores, against numbers of tests/golden/attention_biases.py: the papers'
// formulas, torch's convolutions, and a BertModel of transformers with ALiBi in its mask.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/crop.h"
#include "models/encoder/bert.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "models/hub/safetensors.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

const Weights& Golden() {
  static const Weights tensors =
      ReadSafetensors(THIMBLE_SOURCE_DIR "/tests/golden/attention_biases.safetensors").tensors;
  return tensors;
}

std::string Text(const std::string& fields, const std::string& head = "heads: 3") {
  return "vocabulary: 30 positions: 16 hidden: 12 " + head +
         " ffn_hidden: 10 embedding { plain {} } layer { mixer { self_attention { " + fields +
         " } } ffn { expression: 'linear(gelu_erf(linear(x,wb1)),wb2)' } }";
}

TEST(AttentionBiasesTest, AddWhatTheFormulasSay) {
  const std::string convolution = " convolution { channels: 4 }";
  const std::pair<std::string, std::string> cases[] = {{"alibi", "alibi {}"},
                                                       {"kerple_log", "kerple {}"},
                                                       {"kerple_power", "kerple { form: POWER }"},
                                                       {"fire_3", "fire { width: 5 }"},
                                                       {"fire_40", "fire { width: 5 }"},
                                                       {"convolution", ""}};
  const at::NoGradGuard no_grad;
  for (const auto& [name, fields] : cases) {
    for (const bool convolved : {false, true}) {
      if (!convolved && fields.empty()) continue;
      const std::string prefix = name + (convolved && !fields.empty() ? "_convolution/" : "/");
      Model model = MakeModel(Architecture(Text(fields + (convolved ? convolution : ""))), 0, 0, Random(1));
      int found = 0;
      for (const auto& [weight, tensor] : Weights(model.weights)) {
        if (!Golden().Has(prefix + weight)) continue;
        ++found;
        ASSERT_EQ(tensor.sizes(), Golden().at(prefix + weight).sizes()) << weight;
        model.weights.at(weight) = Golden().at(prefix + weight);
      }
      const proto::Mixer& mixer = model.shape.layers[0].mixer;
      // All of the mixer's but the output linear and the norm behind it.
      EXPECT_EQ(found + 4, static_cast<int>(MixerWeights(model.shape, 0, mixer).size())) << prefix;
      Batch batch = MakeBatch({6, 4});
      ASSERT_TRUE(at::equal(batch.mask, Golden().at(prefix + "mask")));
      const at::Tensor &x = Golden().at(prefix + "x"), &scores = Golden().at(prefix + "scores"),
                       &context = Golden().at(prefix + "context");
      const Mixed mixed = ComputeMixer(model, 0, mixer, x, batch, {.attention_logits = true});
      const Mixed fused = ComputeMixer(model, 0, mixer, x, batch, {});
      for (int row = 0; row < 2; ++row) {
        const int real = row == 0 ? 6 : 4;  // of padding the numbers are anything
        const auto of = [&](const at::Tensor& t) { return t[row].narrow(-2, 0, real); };
        EXPECT_LT(Difference(of(mixed.attention_logits).narrow(2, 0, real), of(scores).narrow(2, 0, real)),
                  2e-6)
            << prefix << row;
        EXPECT_LT(Difference(of(mixed.context), of(context)), 2e-6) << prefix << row;
        EXPECT_LT(Difference(of(fused.context), of(context)), 2e-6) << prefix << row;
      }
    }
  }
}

// The slopes are the differences of scores of neighbours: queries are zero.
TEST(AttentionBiasesTest, SlopesAreThoseOfAnyNumberOfHeads) {
  const at::NoGradGuard no_grad;
  for (const int heads : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20}) {
    const Model model = MakeModel(
        Architecture(Text("alibi {} heads: " + std::to_string(heads) + " head_width: 2")), 0, 0, Random(1));
    const at::Tensor zero = at::zeros({1, 3, 12});
    const at::Tensor scores =
        ComputeMixer(model, 0, model.shape.layers[0].mixer, zero, MakeBatch({3}), {.attention_logits = true})
            .attention_logits;
    const at::Tensor& slopes = Golden().at("slopes/" + std::to_string(heads));
    EXPECT_LT(Difference(-scores.select(2, 0).select(2, 1)[0], slopes), 1e-9) << heads;
    EXPECT_LT(Difference(-scores.select(2, 2).select(2, 0)[0], 2 * slopes), 1e-9) << heads;
  }
}

TEST(AttentionBiasesTest, AlibiIsABertModelsMask) {
  const std::string layer = Text("alibi {}").substr(Text("alibi {}").find("layer"));
  Model model =
      MakeModel(Architecture(Text("alibi {}") + " " + layer + " position_table: false"), 0, 0, Random(1));
  for (const auto& [name, tensor] : Weights(model.weights))
    model.weights.at(name) = Golden().at("bert/" + name);
  const at::NoGradGuard no_grad;
  const Batch batch{.ids = Golden().at("bert/ids"),
                    .segments = Golden().at("bert/segments"),
                    .mask = Golden().at("bert/mask")};
  const at::Tensor last = Forward(model, batch).last_hidden_state;
  const at::Tensor real = batch.mask.unsqueeze(-1);
  EXPECT_LT(Difference(last * real, Golden().at("bert/last") * real), 5e-6);
}

// What begins without effect is the teacher's attention on the first day.
TEST(AttentionBiasesTest, BeginWithoutEffectWhereTheyCan) {
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({7, 4}, 1, 0, 30);
  const at::Tensor plain = Forward(MakeModel(Architecture(Text("")), 3, 0, Random(1)), batch).logits;
  for (const char* fields : {"fire {}", "convolution {}", "fire {} convolution { kernel: 5 }"}) {
    const at::Tensor biased = Forward(MakeModel(Architecture(Text(fields)), 3, 0, Random(1)), batch).logits;
    EXPECT_LT(Difference(plain, biased), 1e-6) << fields;
  }
  const at::Tensor alibi = Forward(MakeModel(Architecture(Text("alibi {}")), 3, 0, Random(1)), batch).logits;
  EXPECT_GT(Difference(plain, alibi), 1e-7);
}

TEST(AttentionBiasesTest, AreNoBertModel) {
  EXPECT_TRUE(IsPlainBert(Resolve(Architecture(Text(""))), false));
  for (const char* fields : {"alibi {}", "kerple {}", "fire {}", "convolution {}"})
    EXPECT_FALSE(IsPlainBert(Resolve(Architecture(Text(fields))), false)) << fields;
  EXPECT_FALSE(IsPlainBert(Resolve(Architecture(Text("", "heads: 3 position_table: false"))), false));
}

// By hand: H = 3, T = 10, k = 3, c = 4.
TEST(AttentionBiasesTest, CostWhatTheFormulasSay) {
  const auto resolved = [](const std::string& fields) { return Resolve(Architecture(Text(fields))); };
  const ResolvedArchitecture plain = resolved("");
  const auto more = [&](const std::string& fields) {
    const ResolvedArchitecture shape = resolved(fields);
    return std::pair(DeployedParameters(shape, 0) - DeployedParameters(plain, 0),
                     MultiplyAdds(shape, 10, TaskHead::kTokens) - MultiplyAdds(plain, 10, TaskHead::kTokens));
  };
  EXPECT_EQ(more("alibi {}"), std::pair(int64_t{0}, int64_t{0}));
  EXPECT_EQ(more("kerple {}"), std::pair(int64_t{6}, int64_t{0}));
  EXPECT_EQ(more("fire {}"), std::pair(int64_t{64 + 33 * 3 + 2}, int64_t{(32 + 32 * 3) * 100}));
  EXPECT_EQ(more("convolution { channels: 4 }"),
            std::pair(int64_t{2 * 3 * 4 * 3 + 4 + 3}, int64_t{2 * 3 * 4 * 3 * 100}));
  EXPECT_EQ(more("alibi {} convolution { channels: 4 }"),
            std::pair(int64_t{3 * 3 * 4 * 3 + 4 + 3}, int64_t{3 * 3 * 4 * 3 * 100}));
}

TEST(AttentionBiasesTest, LengthsStayBoundedWithoutATable) {
  const Model model =
      MakeModel(Architecture(Text("alibi {}", "heads: 3 position_table: false")), 3, 0, Random(1));
  EXPECT_FALSE(model.weights.Has("embedding.position"));
  const at::NoGradGuard no_grad;
  EXPECT_NO_THROW(Forward(model, MakeBatch({16}, 1, 0, 30)));
  EXPECT_THROW(Forward(model, MakeBatch({17}, 1, 0, 30)), Error);
}

TEST(AttentionBiasesTest, OnlyOddKernelsHaveAMiddle) {
  EXPECT_THROW(Resolve(Architecture(Text("convolution { kernel: 4 }"))), Error);
}

TEST(AttentionBiasesTest, NoOtherBiasIsCropped) {
  const Model kerple = ShakenModel(Text("kerple {}")), plain = ShakenModel(Text(""));
  EXPECT_NO_THROW(CropFrom(kerple, kerple.architecture, {}));
  EXPECT_THROW(CropFrom(kerple, Architecture(Text("fire {}")), {}), Error);
  EXPECT_THROW(CropFrom(plain, Architecture(Text("alibi {}")), {}), Error);
  EXPECT_THROW(
      CropFrom(ShakenModel(Text("convolution {}")), Architecture(Text("convolution { kernel: 1 }")), {}),
      Error);
}

// A supernet's layer holds what options share once, and each bias beside it.
TEST(AttentionBiasesTest, AreOptionsOfOneSupernet) {
  proto::Architecture largest = Architecture(Text(""));
  std::vector<proto::Architecture> candidates;
  for (const char* fields : {"kerple {}", "fire {} convolution {}", "alibi {}", "kerple {} heads: 2"}) {
    candidates.push_back(Architecture(Text(fields)));
    if (candidates.size() <= 2) *largest.mutable_layer(0)->add_beside() = candidates.back().layer(0).mixer();
  }
  candidates.push_back(Architecture(Text("")));
  Model supernet = MakeModel(largest, 3, 0, Random(1));
  Shake(&supernet, 3);
  const at::NoGradGuard no_grad;
  const Batch batch = MakeBatch({7, 4}, 1, 0, 30);
  std::vector<at::Tensor> logits;
  for (const auto& candidate : candidates) {
    const ResolvedArchitecture shape = Resolve(candidate);
    const Model copy = CropCandidate(supernet, candidate);
    logits.push_back(Forward(copy, batch).logits);
    EXPECT_TRUE(at::equal(Forward(supernet, batch, {.candidate = &shape}).logits, logits.back()));
  }
  for (size_t i = 1; i < logits.size(); ++i) EXPECT_GT(Difference(logits[0], logits[i]), 1e-5) << i;
  *largest.mutable_layer(0)->add_beside() = Architecture(Text("alibi {}")).layer(0).mixer();
  EXPECT_THROW(Resolve(largest), Error);  // it has no weight of its own
}

}  // namespace
}  // namespace thimble::models
