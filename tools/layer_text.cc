#include "tools/layer_text.h"

#include <algorithm>

#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "search/space.h"
#include "tools/quantities.h"

namespace thimble::tools {
namespace {

// Parameters of a layer's blocks in another size.
int64_t OfBlocks(const models::ResolvedArchitecture& shape, int width, int stacks) {
  models::LayerShape layer = shape.layers[0];
  layer.width = width;
  layer.stacks = stacks;
  return models::FeedForwardParameters(shape, layer);
}

}  // namespace

std::string Grouped(double count) {
  std::string digits = Decimal(count, 0);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(digits.begin() + at, ',');
  return digits;
}

std::string BesidesBerts(const proto::Mixer& mixer) {
  if (models::IsBerts(mixer)) return "";
  if (mixer.has_self_attention()) return std::to_string(mixer.self_attention().heads()) + " heads; ";
  return models::TextOf(mixer) + "; ";
}

std::vector<std::vector<std::string>> FeedForwardChoices(const proto::Space& space,
                                                         const models::ResolvedArchitecture& largest) {
  std::vector<std::vector<std::string>> rows;
  const auto ffn = search::LayerChoices(space, 0).ffn();
  for (const int stacks : ffn.stacks())
    for (const auto& ratio : ffn.ratio())
      rows.push_back({"ffn, " + std::to_string(stacks) + " x " + ratio,
                      Millions(OfBlocks(largest, models::RatioWidth(ratio, largest.ffn_hidden), stacks))});
  // Of many widths the ends say enough.
  const auto widths = std::minmax_element(ffn.width().begin(), ffn.width().end());
  for (const int stacks : ffn.stacks())
    if (!ffn.width().empty())
      rows.push_back({"ffn, " + std::to_string(stacks) + " x " + std::to_string(*widths.first) + " to " +
                          std::to_string(*widths.second) + " wide",
                      Millions(*widths.first == 0 ? 0 : OfBlocks(largest, *widths.first, stacks)) + " to " +
                          Millions(OfBlocks(largest, *widths.second, stacks))});
  return rows;
}

std::string BlocksText(const proto::FeedForward& ffn, const std::string& times) {
  if (ffn.has_none()) return "none";
  return std::to_string(ffn.stacks()) + times +
         (ffn.width() > 0 ? std::to_string(ffn.width()) + " wide" : ffn.ratio());
}

std::string LayersText(const proto::Architecture& architecture) {
  std::string text = std::to_string(architecture.hidden()) + " wide:";
  for (const auto& layer : architecture.layer()) {
    const auto& attention = layer.mixer().self_attention();
    const int heads = layer.mixer().has_none() ? 0
                      : attention.heads() > 0  ? attention.heads()
                                               : architecture.heads();
    // One block of a width of its own: heads + neurons.
    const bool cut = (layer.ffn().has_none() || (layer.ffn().width() > 0 && layer.ffn().stacks() == 1)) &&
                     (layer.mixer().has_none() || layer.mixer().has_self_attention());
    text += cut ? " " + std::to_string(heads) + "+" + std::to_string(layer.ffn().width())
                : "  " + BesidesBerts(layer.mixer()) + BlocksText(layer.ffn(), "x");
  }
  return text;
}

}  // namespace thimble::tools
