#include "tools/report/architecture_json.h"

#include <google/protobuf/message.h>

#include <string>

#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"

namespace thimble::tools {
namespace {

using Json = nlohmann::ordered_json;

// A number among the fields of a kind's message; `otherwise` where it has none of that name or 0.
int Field(const google::protobuf::Message& kind, const std::string& name, int otherwise) {
  const auto* field = kind.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) return otherwise;
  const int value = kind.GetReflection()->GetInt32(kind, field);
  return value > 0 ? value : otherwise;
}

bool HasField(const google::protobuf::Message& kind, const std::string& name) {
  return kind.GetDescriptor()->FindFieldByName(name) != nullptr;
}

// ["gelu", ["linear", "x"]]; a linear is told by its weight, "wb1".
Json Tree(const models::Expression& expression, int node) {
  const auto& [op, left, right] = expression.nodes()[node];
  if (left < 0) return std::string(models::OperatorName(op));
  std::string name(models::OperatorName(op));
  if (models::IsLinear(op)) name += op == models::Operator::kLinear1 ? " wb1" : " wb2";
  Json tree = Json::array({name, Tree(expression, left)});
  if (right >= 0) tree.push_back(Tree(expression, right));
  return tree;
}

Json LayerJson(const models::ResolvedArchitecture& shape, const models::LayerShape& layer) {
  const auto& mixer = models::KindMessage(layer.mixer);
  const int heads = HasField(mixer, "heads") ? Field(mixer, "heads", shape.heads) : 0;
  Json json = {{"mixer", models::EntryOf(layer.mixer).name}, {"heads", heads}};
  if (heads > 0) json["head_width"] = Field(mixer, "head_width", shape.block_width() / shape.heads);
  const auto& ffn = models::EntryOf(layer.ffn);
  json["ffn"] = ffn.name;
  if (ffn.run == nullptr || layer.width == 0) return json;  // its norm alone
  json["blocks"] = layer.stacks;
  json["width"] = layer.width;
  json["text"] = models::TextOf(layer);
  if (!layer.expression.nodes().empty())
    json["tree"] = Tree(layer.expression, static_cast<int>(layer.expression.nodes().size()) - 1);
  return json;
}

}  // namespace

Json LayerKinds::Json(const proto::Architecture& architecture) {
  const auto shape = models::Resolve(architecture);
  nlohmann::ordered_json json = {{"hidden", shape.hidden},
                                 {"embedding", models::EntryOf(shape.embedding).name}};
  if (shape.embedding_width > 0 && shape.embedding_width != shape.hidden)
    json["embedding_width"] = shape.embedding_width;
  if (shape.bottleneck > 0) json["bottleneck"] = shape.bottleneck;
  json["layers"] = nlohmann::ordered_json::array();
  for (const auto& layer : shape.layers) {
    auto kind = LayerJson(shape, layer);
    const auto [known, is_new] = known_.try_emplace(kind.dump(), static_cast<int>(list_.size()));
    if (is_new) list_.push_back(std::move(kind));
    json["layers"].push_back(known->second);
  }
  return json;
}

}  // namespace thimble::tools
