#include "models/arch/architecture.h"

#include <charconv>
#include <cstdio>

#include "base/config.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

std::string RatioText(int divisor) { return divisor == 1 ? "1" : "1/" + std::to_string(divisor); }

}  // namespace

proto::Architecture LikeTeacher(const Shape& teacher) {
  proto::Architecture student;
  student.set_vocabulary(teacher.vocabulary);
  student.set_positions(teacher.positions);
  student.set_segments(teacher.segments);
  student.set_heads(teacher.heads);
  student.set_pooler(teacher.pooler);
  student.set_layer_norm_epsilon(teacher.layer_norm_epsilon);
  return student;
}

int RatioWidth(const std::string& ratio, int ffn_hidden, const std::string& where) {
  int divisor = ratio == "1" ? 1 : 0;
  if (ratio.rfind("1/", 0) == 0) {
    const auto [end, error] = std::from_chars(ratio.data() + 2, ratio.data() + ratio.size(), divisor);
    if (error != std::errc() || end != ratio.data() + ratio.size() || divisor < 2 ||
        RatioText(divisor) != ratio)
      divisor = 0;
  }
  if (divisor == 0)
    throw BadRequest(where, "a ratio is \"1\" or \"1/N\" with a whole N from 2", "\"" + ratio + "\"",
                     "\"1\", \"1/2\", \"1/3\", ...");
  const int width = ffn_hidden / divisor;
  if (width == 0)
    throw BadRequest(where, "ratio " + ratio + " of an FFN width of " + std::to_string(ffn_hidden) + " is 0",
                     ratio, "a larger ratio");
  return width;
}

Shape Resolve(const proto::Architecture& architecture, const std::string& where) {
  Shape shape;
  shape.vocabulary = architecture.vocabulary();
  shape.positions = architecture.positions();
  shape.segments = architecture.segments();
  shape.hidden = architecture.hidden();
  shape.heads = architecture.heads();
  shape.ffn_hidden = architecture.ffn_hidden() > 0 ? architecture.ffn_hidden() : shape.hidden;
  shape.pooler = architecture.pooler() > 0 ? architecture.pooler() : shape.hidden;
  shape.layer_norm_epsilon = architecture.layer_norm_epsilon();
  if (architecture.embedding().has_trigram()) shape.trigram = architecture.embedding().trigram().width();
  if (architecture.embedding().has_factorised())
    shape.factorised = architecture.embedding().factorised().width();
  shape.no_norm = architecture.norm() == proto::NO_NORM;
  if (architecture.has_bottleneck()) {
    shape.bottleneck = architecture.bottleneck().width();
    shape.share_query_key = architecture.bottleneck().share_query_key();
    if (shape.bottleneck <= 0)
      throw BadRequest(where + ".bottleneck.width", "too narrow", std::to_string(shape.bottleneck),
                       "1 or more");
  }
  const std::string width = shape.bottleneck > 0 ? "bottleneck" : "hidden";
  if (shape.heads <= 0 || shape.hidden <= 0 || shape.block_width() % shape.heads != 0)
    throw BadRequest(
        where + ".heads", "the heads must divide the " + width + " width",
        std::to_string(shape.heads) + " heads, " + width + " " + std::to_string(shape.block_width()));
  if (architecture.layer_size() == 0)
    throw BadRequest(where + ".layer", "there is no layer", "", "at least one");
  for (int i = 0; i < architecture.layer_size(); ++i) {
    const auto& ffn = architecture.layer(i).ffn();
    const std::string here = where + ".layer[" + std::to_string(i) + "].ffn";
    if (ffn.stacks() < 1)
      throw BadRequest(here + ".stacks", "too few", std::to_string(ffn.stacks()), "1 or more");
    LayerShape layer{Expression::Parse(ffn.expression(), here + ".expression"), ffn.stacks(),
                     RatioWidth(ffn.ratio(), shape.ffn_hidden, here + ".ratio")};
    const std::string problem = layer.expression.WhyWidthsFail(shape.block_width(), layer.width);
    if (!problem.empty())
      throw BadRequest(here + ".expression", problem, ffn.expression(),
                       "an expression that fits " + width + " " + std::to_string(shape.block_width()) +
                           " and inner width " + std::to_string(layer.width));
    shape.layers.push_back(std::move(layer));
  }
  return shape;
}

std::string CanonicalArchitecture(const proto::Architecture& architecture) {
  proto::Architecture copy = architecture;
  const int hidden = copy.hidden();
  if (copy.ffn_hidden() == hidden) copy.clear_ffn_hidden();
  if (copy.pooler() == hidden) copy.clear_pooler();
  if (copy.norm() == proto::NO_NORM) copy.clear_layer_norm_epsilon();
  const int ffn_hidden = copy.ffn_hidden() > 0 ? copy.ffn_hidden() : hidden;
  for (auto& layer : *copy.mutable_layer()) {
    auto* ffn = layer.mutable_ffn();
    ffn->set_expression(Expression::Parse(ffn->expression()).Canonical());
    // Ratios that round down to one width are one ratio: the largest of them.
    const int width = RatioWidth(ffn->ratio(), ffn_hidden);
    ffn->set_ratio(RatioText(ffn_hidden / (width + 1) + 1));
  }
  return CanonicalText(copy);
}

std::string ArchitectureHash(const proto::Architecture& architecture) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(Hash64(CanonicalArchitecture(architecture))));
  return digits;
}

}  // namespace thimble::models
