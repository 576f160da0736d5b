#include "search/cut_damages.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/config.h"

namespace thimble::search {
namespace {

// A teacher of four layers, two heads and eight neurons, known in steps of four.
CutDamages Teachers() {
  CutDamages damages{.neuron_step = 4};
  for (int layer = 0; layer < 4; ++layer) {
    const double unit = std::pow(10, layer);
    damages.heads.push_back({5 * unit, 2 * unit, 0});
    damages.neurons.push_back({9 * unit, 3 * unit, 0.5 * unit});
  }
  return damages;
}

double Of(const std::string& layers) {
  proto::Architecture architecture;
  ParseText("vocabulary: 50 positions: 16 hidden: 8 heads: 2 ffn_hidden: 8 embedding { plain {} }" + layers,
            "test", &architecture);
  return DamageOf(Teachers(), architecture);
}

std::string Layer(const std::string& mixer, int width, int stacks = 1) {
  return " layer { mixer { " + mixer +
         " } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' stacks: " + std::to_string(stacks) +
         " width: " + std::to_string(width) + " } }";
}

TEST(CutDamages, AreSummedOverBlocks) {
  const std::string whole = "self_attention {}", half = "self_attention { heads: 1 head_width: 4 }";
  EXPECT_DOUBLE_EQ(Of(Layer(whole, 8) + Layer(half, 8) + Layer(whole, 4) + Layer("none {}", 7)),
                   0.5 + (20 + 5) + 300 + (5000 + 3000));
  // What is larger than the teacher's loses nothing more; further blocks do not count, nor does attention
  // without scores.
  EXPECT_DOUBLE_EQ(
      Of(Layer(whole, 64) + Layer("linear_attention {}", 8) + Layer(whole, 8, 3) + Layer(whole, 8)),
      0.5 + (50 + 5) + 50 + 500);
}

TEST(CutDamages, LayersThatAreLeftOutLoseAllOfTheirs) {
  // The teacher's second and fourth.
  EXPECT_DOUBLE_EQ(Of(Layer("self_attention {}", 8) + Layer("self_attention {}", 4)),
                   5 + 3000 + (5 + 9) + (500 + 900));
}

}  // namespace
}  // namespace thimble::search
