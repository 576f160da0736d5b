// What a space offers, layer by layer: choices filled in and checked, its largest and its first architecture.
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

namespace pb = google::protobuf;

// Gives every empty (choice) list its (default_choice), all the way down.
void FillChoices(pb::Message* message) {
  const auto* reflection = message->GetReflection();
  const auto* descriptor = message->GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    const std::string& values = field->options().GetExtension(proto::default_choice);
    if (!values.empty() && reflection->FieldSize(*message, field) == 0)
      THIMBLE_CHECK(pb::TextFormat::MergeFromString(field->name() + ": " + values, message),
                    field->full_name());
    if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated() &&
        reflection->HasField(*message, field))
      FillChoices(reflection->MutableMessage(message, field));
  }
}

// What mixers are checked and measured in.
models::Shape MixerShape(const proto::Space& space) {
  models::Shape shape;
  shape.hidden = space.hidden();
  shape.heads = space.heads();
  return shape;
}

bool HasFreeHeads(const proto::Mixer& mixer) {
  return mixer.has_self_attention() && mixer.self_attention().heads() == 0;
}

// Every number of heads in the place of the self-attention that names none: all of them is that itself, 0 no mixer.
void ExpandHeads(int all, proto::LayerSpace* layer) {
  if (layer->heads().empty()) return;
  google::protobuf::RepeatedPtrField<proto::Mixer> mixers;
  for (const proto::Mixer& mixer : layer->mixer()) {
    if (!HasFreeHeads(mixer)) {
      *mixers.Add() = mixer;
      continue;
    }
    for (const int heads : layer->heads()) {
      auto* each = mixers.Add();
      if (heads == 0) {
        each->mutable_none();
        continue;
      }
      *each = mixer;
      if (heads < all) each->mutable_self_attention()->set_heads(heads);
    }
  }
  layer->mutable_mixer()->Swap(&mixers);
}

// Empty choices are their defaults; widths stand in place of ratios, heads in mixers.
void Complete(const proto::Space& space, proto::LayerSpace* layer) {
  const bool by_width = !layer->ffn().width().empty();
  FillChoices(layer);
  if (by_width) layer->mutable_ffn()->clear_ratio();
  ExpandHeads(space.heads(), layer);
}

}  // namespace

std::vector<proto::LayerSpace> LayersOf(const proto::Space& space) {
  std::vector<proto::LayerSpace> layers(space.layers());
  for (const bool named : {false, true})  // named blocks replace the common one
    for (proto::LayerSpace block : space.layer()) {
      if ((block.at_size() > 0) != named) continue;
      Complete(space, &block);
      const auto at = block.at();
      block.clear_at();
      if (!named) std::fill(layers.begin(), layers.end(), block);
      for (const int layer : at) layers.at(layer) = block;
    }
  return layers;
}

std::vector<proto::FeedForward> InnerChoices(const proto::FeedForwardSpace& ffn) {
  std::vector<proto::FeedForward> choices;
  for (const std::string& ratio : ffn.ratio()) choices.emplace_back().set_ratio(ratio);
  for (const int width : ffn.width()) {
    auto& choice = choices.emplace_back();
    if (width > 0)
      choice.set_width(width);
    else
      choice.mutable_none();
  }
  return choices;
}

proto::FeedForward InnerOf(const proto::FeedForward& ffn) {
  proto::FeedForward inner;
  if (ffn.has_none())
    inner.mutable_none();
  else if (ffn.width() > 0)
    inner.set_width(ffn.width());
  else
    inner.set_ratio(ffn.ratio());
  return inner;
}

proto::FeedForward MakeFeedForward(const proto::FeedForward& inner, int stacks, const std::string& expression) {
  proto::FeedForward ffn = inner;
  ffn.set_stacks(inner.has_none() ? 1 : stacks);
  if (!inner.has_none()) ffn.set_expression(expression);
  return ffn;
}

namespace {

void ValidateMixers(const proto::LayerSpace& given, const proto::Space& space, const std::string& where) {
  const models::Shape shape = MixerShape(space);
  for (const int heads : given.heads())
    if (heads > space.heads())
      throw BadRequest(where + ".heads", "more than the space has", std::to_string(heads),
                       "up to " + std::to_string(space.heads()));
  if (!given.heads().empty() && std::none_of(given.mixer().begin(), given.mixer().end(), HasFreeHeads))
    throw BadRequest(where + ".heads", "no mixer of this layer has heads to choose", "", "mixer { self_attention {} }");
  proto::LayerSpace block = given;
  Complete(space, &block);
  std::set<std::string> seen;
  for (int i = 0; i < block.mixer_size(); ++i) {
    const std::string here = where + (given.heads().empty() ? ".mixer[" + std::to_string(i) + "]" : ".heads"),
                      text = models::TextOf(block.mixer(i));
    if (!seen.insert(text).second) throw BadRequest(here, "a value stands twice", text, "each value once");
    const auto& entry = models::EntryOf(block.mixer(i));
    if (entry.check != nullptr) entry.check(block.mixer(i), shape, here + "." + entry.name);
  }
}

int FfnHidden(const proto::Space& space) {
  return space.ffn_hidden() > 0 ? space.ffn_hidden() : space.hidden();
}

template <typename List>
void RefuseRepeats(const List& list, const std::string& where) {
  using Value = typename List::value_type;
  std::set<Value> seen;
  for (const Value& value : list) {
    if (seen.insert(value).second) continue;
    if constexpr (std::is_same_v<Value, std::string>)
      throw BadRequest(where, "a value stands twice", value, "each value once");
    else
      throw BadRequest(where, "a value stands twice", std::to_string(value), "each value once");
  }
}

void ValidateFfn(const proto::LayerSpace& block, const proto::Space& space, const std::string& where) {
  if (!block.ffn().width().empty() && !block.ffn().ratio().empty())
    throw BadRequest(where + ".width", "inner widths are given twice", "ratio and width", "one of them");
  proto::LayerSpace filled = block;
  Complete(space, &filled);
  const proto::FeedForwardSpace& ffn = filled.ffn();
  const auto& expression = ffn.expression();
  RefuseRepeats(ffn.stacks(), where + ".stacks");
  RefuseRepeats(ffn.ratio(), where + ".ratio");
  RefuseRepeats(ffn.width(), where + ".width");
  RefuseRepeats(expression.unary(), where + ".expression.unary");
  RefuseRepeats(expression.binary(), where + ".expression.binary");
  if (expression.min_height() > expression.max_height())
    throw BadRequest(where + ".expression.min_height", "is above max_height",
                     std::to_string(expression.min_height()),
                     "up to " + std::to_string(expression.max_height()));
  const auto seed = models::Expression::Parse(expression.seed(), where + ".expression.seed");
  const auto check = [&](const std::string& what, int inner) {
    const std::string problem = inner == 0 ? "" : seed.WhyWidthsFail(space.hidden(), inner);
    if (!problem.empty())
      throw BadRequest(where + ".expression.seed", "at " + what + " " + problem, expression.seed(),
                       "an expression that fits every " + what.substr(0, what.find(' ')) + " of its layer");
  };
  for (const std::string& ratio : ffn.ratio())
    check("ratio " + ratio, models::RatioWidth(ratio, FfnHidden(space), where + ".ratio"));
  for (const int width : ffn.width()) check("width " + std::to_string(width), width);
}

// Of each kind of mixer the one with the widest context, the first of that width. The first kind comes first, those
// that make no context last: what follows them in a supernet would be fitted to less than candidates have.
std::vector<proto::Mixer> LargestMixers(const proto::LayerSpace& options, const proto::Space& space) {
  const models::Shape shape = MixerShape(space);
  std::vector<proto::Mixer> largest;
  for (const proto::Mixer& mixer : options.mixer()) {
    const auto same = std::find_if(largest.begin(), largest.end(), [&](const proto::Mixer& known) {
      return known.kind_case() == mixer.kind_case();
    });
    if (same == largest.end()) {
      largest.push_back(mixer);
    } else if (models::SizeOf(shape, mixer).context > models::SizeOf(shape, *same).context) {
      *same = mixer;
    }
  }
  std::stable_partition(largest.begin(), largest.end(), [&](const proto::Mixer& mixer) {
    return models::SizeOf(shape, mixer).context > 0;
  });
  return largest;
}

proto::Architecture Build(const proto::Space& space, const SpaceContext& context, bool largest) {
  proto::Architecture architecture;
  architecture.set_vocabulary(space.vocabulary());
  architecture.set_positions(space.positions());
  architecture.set_segments(space.segments());
  architecture.set_hidden(space.hidden());
  architecture.set_heads(space.heads());
  architecture.set_ffn_hidden(FfnHidden(space));
  architecture.set_pooler(space.pooler() > 0           ? space.pooler()
                          : context.teacher_hidden > 0 ? context.teacher_hidden
                                                       : space.hidden());
  architecture.set_layer_norm_epsilon(space.layer_norm_epsilon());
  *architecture.mutable_embedding() = space.embedding();
  for (const proto::LayerSpace& options : LayersOf(space)) {
    auto* layer = architecture.add_layer();
    *layer->mutable_mixer() = options.mixer(0);
    if (largest) {
      const auto mixers = LargestMixers(options, space);
      *layer->mutable_mixer() = mixers[0];
      layer->mutable_beside()->Assign(mixers.begin() + 1, mixers.end());
    }
    const auto& ffn = options.ffn();
    const auto inner = InnerChoices(ffn);
    const auto narrower = [&](const auto& a, const auto& b) {
      return models::InnerWidth(a, FfnHidden(space)) < models::InnerWidth(b, FfnHidden(space));
    };
    *layer->mutable_ffn() = MakeFeedForward(
        largest ? *std::max_element(inner.begin(), inner.end(), narrower) : inner[0],
        largest ? *std::max_element(ffn.stacks().begin(), ffn.stacks().end()) : ffn.stacks(0),
        ffn.expression().seed());
  }
  return architecture;
}

}  // namespace

void ValidateSpace(const proto::Space& space, const std::string& where) {
  if (space.hidden() % space.heads() != 0)
    throw BadRequest(where + ".heads", "the heads must divide the hidden width",
                     std::to_string(space.heads()), "a divisor of " + std::to_string(space.hidden()));
  int common = -1;
  std::set<int> named;
  for (int i = 0; i < space.layer_size(); ++i) {
    const auto& block = space.layer(i);
    const std::string here = where + ".layer[" + std::to_string(i) + "]";
    if (block.at_size() == 0) {
      if (common >= 0)
        throw BadRequest(here,
                         "a second block without `at`; layer[" + std::to_string(common) + "] is the first",
                         "", "one block without `at`, the others with the layers they replace it for");
      common = i;
    }
    for (const int at : block.at()) {
      if (at < 0 || at >= space.layers())
        throw BadRequest(here + ".at", "there is no such layer", std::to_string(at),
                         "0 to " + std::to_string(space.layers() - 1));
      if (!named.insert(at).second)
        throw BadRequest(here + ".at", "a layer is named twice", std::to_string(at), "each layer once");
    }
    ValidateMixers(block, space, here);
    ValidateFfn(block, space, here + ".ffn");
  }
  if (common < 0 && static_cast<int>(named.size()) < space.layers()) {
    int missing = 0;
    while (named.count(missing)) ++missing;
    throw BadRequest(where + ".layer", "no block speaks for layer " + std::to_string(missing), "",
                     "a block without `at`");
  }
}

proto::LayerSpace LayerChoices(const proto::Space& space, int layer) { return LayersOf(space).at(layer); }

proto::Architecture LargestArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(space, context, /*largest=*/true);
}

bool ChoosesHeads(const proto::Space& space) {
  const models::Shape shape = MixerShape(space);
  const auto layers = LayersOf(space);
  return std::any_of(layers.begin(), layers.end(), [&](const proto::LayerSpace& layer) {
    std::set<int> heads;
    for (const proto::Mixer& mixer : layer.mixer())
      if (const int count = models::SizeOf(shape, mixer).scores; count > 0) heads.insert(count);
    return heads.size() > 1;
  });
}

proto::Architecture SeedArchitecture(const proto::Space& space, const SpaceContext& context) {
  return Build(space, context, /*largest=*/false);
}

}  // namespace thimble::search
