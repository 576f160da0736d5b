#include "search/learners/encoding.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/config.h"
#include "models/arch/architecture.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

constexpr int kTreeLength = 20;  // ids of a layer's tree, as published
enum Place { kBelow, kBeside, kAboveOne, kAboveBoth, kPlaces };

namespace pb = google::protobuf;

// Fields of the kind that say their defaults say nothing.
void ClearDefaults(pb::Message* kind) {
  for (int i = 0; i < kind->GetDescriptor()->field_count(); ++i) {
    const auto* field = kind->GetDescriptor()->field(i);
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_INT32 || field->is_repeated()) continue;
    const auto* reflection = kind->GetReflection();
    if (reflection->GetInt32(*kind, field) == field->default_value_int32())
      reflection->ClearField(kind, field);
  }
}

pb::Message* MutableKind(pb::Message* kinds) {
  const auto* field = KindField(*kinds);
  return field == nullptr ? nullptr : kinds->GetReflection()->MutableMessage(kinds, field);
}

// The number of a ratio, whatever base width it is of.
double Ratio(const std::string& text) {
  const size_t slash = text.find('/');
  return slash == std::string::npos ? 1 : 1 / std::stod(text.substr(slash + 1));
}

// Ids of a tree from the root, left before right; a linear's weights stand behind its operand, as terminals
// do.
void PreOrder(const std::vector<models::Node>& nodes, int at, int block, int blocks,
              std::vector<float>* out) {
  using models::Operator;
  const models::Node& node = nodes[at];
  const auto id = static_cast<int>(node.op);
  // x, the weights of both linears, the catalogue, a linear of each block.
  const int catalogue = static_cast<int>(Operator::kLinear2) + 1,
            count = catalogue + static_cast<int>(models::Catalogue().size());
  out->push_back(
      static_cast<float>(models::IsLinear(node.op) ? count + std::clamp(block, 0, blocks - 1) : id));
  if (node.left >= 0) PreOrder(nodes, node.left, block, blocks, out);
  if (node.right >= 0) PreOrder(nodes, node.right, block, blocks, out);
  if (models::IsLinear(node.op)) out->push_back(static_cast<float>(id));
}

}  // namespace

Encoding::Encoding(const StageSpace& space) : head_width_(space.study().space().head_width()) {
  const auto& sections = space.sections();
  for (const auto& section : sections) depth_ = std::max(depth_, section.base.layer_size());
  expressions_.resize(depth_);

  for (const What what : {What::kHidden, What::kLayers, What::kEmbedding}) {
    std::vector<Value> values;
    for (const auto& section : sections) values.push_back(Read(what, -1, section.base));
    Add(what, -1, values);
  }
  for (int layer = 0; layer < depth_; ++layer) {
    std::vector<Value> mixers, stacks, inner, forms;
    for (const auto& section : sections) {
      if (layer >= section.base.layer_size()) continue;
      const LayerPlan& plan = section.layers[layer];
      if (plan.expressions) expressions_[layer] = true;
      auto architecture = section.base;
      auto* part = architecture.mutable_layer(layer);
      for (const auto& mixer : plan.mixers) {
        *part->mutable_mixer() = mixer;
        mixers.push_back(Read(What::kMixer, layer, architecture));
      }
      for (const auto& block : plan.blocks) {
        *part->mutable_ffn() = MakeFeedForward(block.inner, block.stacks, plan.base.ToString());
        stacks.push_back(Read(What::kStacks, layer, architecture));
        inner.push_back(Read(What::kInner, layer, architecture));
        forms.push_back(Read(What::kForm, layer, architecture));
      }
    }
    Add(What::kMixer, layer, mixers);
    Add(What::kStacks, layer, stacks);
    Add(What::kInner, layer, inner);
    Add(What::kForm, layer, forms);
  }

  std::set<models::Operator> operators;
  const auto name = [&](const std::string& text) {
    if (const auto op = models::OperatorNamed(text)) operators.insert(*op);
  };
  for (const auto& section : sections)
    for (const LayerPlan& layer : section.layers)
      for (const auto& node : layer.base.nodes())
        if (models::IsUnary(node.op) || models::IsBinary(node.op)) operators.insert(node.op);
  for (const auto& layer : LayersOf(space.study().space())) {
    for (const int op : layer.ffn().expression().unary())
      name(proto::ExpressionSpace::Unary_Name(static_cast<proto::ExpressionSpace::Unary>(op)));
    for (const int op : layer.ffn().expression().binary())
      name(proto::ExpressionSpace::Binary_Name(static_cast<proto::ExpressionSpace::Binary>(op)));
  }
  operators_.assign(operators.begin(), operators.end());
  width_ = static_cast<int>(Scaled(space.base()).size());
}

Encoding::Value Encoding::Read(What what, int layer, const proto::Architecture& architecture) const {
  const auto number = [](double x) {
    return Value{.there = true, .bytes = {reinterpret_cast<const char*>(&x), sizeof x}, .number = x};
  };
  if (what == What::kHidden) return number(architecture.hidden());
  if (what == What::kLayers) return number(architecture.layer_size());
  if (what == What::kEmbedding) {
    auto embedding = architecture.embedding();
    if (auto* kind = MutableKind(&embedding)) ClearDefaults(kind);
    return {.there = true, .bytes = embedding.SerializeAsString()};
  }
  if (layer >= architecture.layer_size()) return {};
  const auto& ffn = architecture.layer(layer).ffn();
  if (what == What::kStacks) return ffn.has_none() ? Value{} : number(ffn.stacks());
  if (what == What::kInner)
    return number(ffn.has_none() ? 0 : ffn.width() > 0 ? ffn.width() : Ratio(ffn.ratio()));

  if (what == What::kForm) {
    if (ffn.has_none()) return {};
    const std::string form = FormText(FormOf(ffn));
    return {.there = true, .bytes = form, .kind = form};
  }

  // Sections of other hidden widths may say heads, or the space's head width, where the first says nothing.
  proto::Mixer mixer = architecture.layer(layer).mixer();
  Value value{.there = true};
  if (auto* kind = MutableKind(&mixer)) {
    const auto* reflection = kind->GetReflection();
    const auto* width = kind->GetDescriptor()->FindFieldByName("head_width");
    if (width != nullptr && reflection->GetInt32(*kind, width) == head_width_)
      reflection->ClearField(kind, width);
    if (const auto* heads = kind->GetDescriptor()->FindFieldByName("heads")) {
      const int own = reflection->GetInt32(*kind, heads);
      value.number = own > 0 ? own : architecture.heads();
      reflection->ClearField(kind, heads);
    }
    ClearDefaults(kind);
  }
  value.kind = mixer.SerializeAsString();
  value.bytes = value.kind + " " + std::to_string(value.number);
  return value;
}

void Encoding::Add(What what, int layer, const std::vector<Value>& values) {
  Column column{.what = what, .layer = layer};
  std::vector<std::string> kinds;
  for (const Value& value : values) {
    if (!value.there || std::count(column.values.begin(), column.values.end(), value.bytes) > 0) continue;
    column.values.push_back(value.bytes);
    column.numbers.push_back(value.number);
    auto kind = std::find(kinds.begin(), kinds.end(), value.kind);
    if (kind == kinds.end()) kind = kinds.insert(kind, value.kind);
    column.kinds.push_back(static_cast<int>(kind - kinds.begin()));
  }
  if (column.values.size() > 1) columns_.push_back(std::move(column));
}

int Encoding::Find(What what, int layer) const {
  for (size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i].what == what && columns_[i].layer == layer) return static_cast<int>(i);
  return -1;
}

std::vector<int> Encoding::Choices(const proto::Architecture& architecture) const {
  std::vector<int> choices;
  for (const Column& column : columns_) {
    const Value value = Read(column.what, column.layer, architecture);
    const auto found = std::find(column.values.begin(), column.values.end(), value.bytes);
    choices.push_back(
        value.there && found != column.values.end() ? static_cast<int>(found - column.values.begin()) : -1);
  }
  return choices;
}

std::vector<double> Encoding::Scaled(const proto::Architecture& architecture) const {
  std::vector<double> scaled;
  scaled.reserve(width_);
  const std::vector<int> choices = Choices(architecture);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    const auto one_hot = [&](int count, int at) {
      for (int k = 0; k < count; ++k) scaled.push_back(k == at);
    };
    if (column.what == What::kEmbedding) {
      one_hot(static_cast<int>(column.values.size()), choices[i]);
      continue;
    }
    const int kinds = 1 + *std::max_element(column.kinds.begin(), column.kinds.end());
    if (kinds > 1) one_hot(kinds, choices[i] < 0 ? -1 : column.kinds[choices[i]]);
    const auto [low, high] = std::minmax_element(column.numbers.begin(), column.numbers.end());
    if (*low == *high) continue;
    const Value value = Read(column.what, column.layer, architecture);
    scaled.push_back(value.there ? (std::clamp(value.number, *low, *high) - *low) / (*high - *low) : 0);
  }
  for (int layer = 0; layer < depth_; ++layer)
    if (expressions_[layer])
      ScaleExpression(layer < architecture.layer_size() ? architecture.layer(layer).ffn().expression() : "",
                      &scaled);
  return scaled;
}

void Encoding::ScaleExpression(const std::string& text, std::vector<double>* out) const {
  if (text.empty()) {
    out->resize(out->size() + 1 + operators_.size() * kPlaces);
    return;
  }
  const auto expression = models::Expression::Parse(text);
  const auto& nodes = expression.nodes();
  std::vector<int> linears(nodes.size());  // inside
  std::vector<bool> below(nodes.size());   // some linear
  for (size_t i = 0; i < nodes.size(); ++i) {
    linears[i] = models::IsLinear(nodes[i].op);
    for (const int child : {nodes[i].left, nodes[i].right})
      if (child >= 0) linears[i] += linears[child];
  }
  for (size_t i = nodes.size(); i-- > 0;)
    for (const int child : {nodes[i].left, nodes[i].right})
      if (child >= 0) below[child] = below[i] || models::IsLinear(nodes[i].op);

  std::vector<std::array<double, kPlaces>> counts(operators_.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto found = std::find(operators_.begin(), operators_.end(), nodes[i].op);
    if (found == operators_.end()) continue;
    const Place place = linears[i] >= 2   ? kAboveBoth
                        : linears[i] == 1 ? kAboveOne
                        : below[i]        ? kBelow
                                          : kBeside;
    ++counts[found - operators_.begin()][place];
  }
  out->push_back(static_cast<double>(expression.Height()) / models::kTallestExpression);
  for (const auto& places : counts)
    for (const double count : places) out->push_back(count / (1 + count));
}

std::vector<float> Encoding::Published(const proto::Architecture& architecture) const {
  std::vector<float> features;
  const std::vector<int> choices = Choices(architecture);
  for (size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i].what != What::kStacks && columns_[i].what != What::kInner)
      features.push_back(static_cast<float>(choices[i]));
  for (int layer = 0; layer < depth_; ++layer) {
    // Inner width runs fastest.
    int block = 0, blocks = 1;
    for (const What what : {What::kStacks, What::kInner}) {
      const int column = Find(what, layer);
      if (column < 0) continue;
      const auto count = static_cast<int>(columns_[column].values.size());
      block = block < 0 || choices[column] < 0 ? -1 : block * count + choices[column];
      blocks *= count;
    }
    if (!expressions_[layer]) {
      if (blocks > 1) features.push_back(static_cast<float>(block));
      continue;
    }
    std::vector<float> tree;
    if (layer < architecture.layer_size() && architecture.layer(layer).ffn().has_expression()) {
      const auto expression = models::Expression::Parse(architecture.layer(layer).ffn().expression());
      PreOrder(expression.nodes(), static_cast<int>(expression.nodes().size()) - 1, block, blocks, &tree);
    }
    tree.resize(kTreeLength, -1);
    features.insert(features.end(), tree.begin(), tree.end());
  }
  return features;
}

}  // namespace thimble::search
