// What a space may not hold.
#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "models/encoder/trace.h"
#include "search/space.h"
#include "search/space_plan.h"

namespace thimble::search {
namespace {

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

// A supernet holds the weights of a score map once: options may have more or fewer heads of it, nothing else.
void CheckMaps(const proto::LayerSpace& block, const models::ResolvedArchitecture& shape,
               const std::string& where) {
  std::map<std::string, std::pair<models::WeightShape, std::string>> known;  // by heads and name
  for (const proto::Mixer& mixer : block.mixer()) {
    const std::string heads = std::to_string(models::SizeOf(shape, mixer).heads),
                      text = models::TextOf(mixer);
    for (const models::WeightShape& weight : models::MixerWeights(shape, 0, mixer)) {
      if (weight.form.kernel == 0) continue;
      const auto& [first, its] =
          known.emplace(heads + " " + weight.name, std::pair(weight, text)).first->second;
      if (first.sizes != weight.sizes || first.form.kernel != weight.form.kernel)
        throw BadRequest(where + ".mixer", "two options have one map of scores in two sizes",
                         its + " and " + text, "one width and one kernel of each");
    }
  }
}

// Of a section.
void ValidateMixers(const proto::LayerSpace& given, const proto::Space& space, const std::string& where) {
  const models::ResolvedArchitecture shape = MixerShape(space);
  for (const int heads : given.heads())
    if (heads > space.heads())
      throw BadRequest(where + ".heads", "more than the space has", std::to_string(heads),
                       "up to " + std::to_string(space.heads()));
  if (!given.heads().empty() && std::none_of(given.mixer().begin(), given.mixer().end(), HasFreeHeads))
    throw BadRequest(where + ".heads", "no mixer of this layer has heads to choose", "",
                     "mixer { self_attention {} }");
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
  CheckMaps(block, shape, where);
}

// Each form once, and with every size.
void CheckForms(const proto::FeedForwardSpace& ffn, const proto::Space& space, const std::string& where) {
  std::set<std::string> seen;
  for (int i = 0; i < ffn.form_size(); ++i) {
    const std::string here = where + ".form[" + std::to_string(i) + "]", text = FormText(ffn.form(i));
    if (!seen.insert(text).second) throw BadRequest(here, "a value stands twice", text, "each value once");
    proto::FeedForwardSpace alone = ffn;
    alone.clear_form();
    *alone.add_form() = ffn.form(i);
    proto::Architecture one;
    one.set_hidden(space.hidden(0));
    one.set_heads(1);
    one.set_ffn_hidden(FfnHidden(space));
    one.mutable_embedding()->mutable_plain();
    one.add_layer()->mutable_mixer()->mutable_none();
    for (const auto& inner : InnerChoices(alone)) {
      *one.mutable_layer(0)->mutable_ffn() = MakeFeedForward(inner, 1, ffn.expression().seed());
      try {
        models::Resolve(one, "");
      } catch (const Error& error) {
        const std::string of_block = ".layer[0].ffn", said = error.what();
        const size_t at = said.find(of_block);
        throw Error(at == std::string::npos ? here + ": " + said : here + said.substr(at + of_block.size()),
                    error.code());
      }
    }
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
    const std::string problem = inner == 0 ? "" : seed.WhyWidthsFail(space.hidden(0), inner);
    if (!problem.empty())
      throw BadRequest(where + ".expression.seed", "at " + what + " " + problem, expression.seed(),
                       "an expression that fits every " + what.substr(0, what.find(' ')) + " of its layer");
  };
  for (const std::string& ratio : ffn.ratio())
    check("ratio " + ratio, models::RatioWidth(ratio, FfnHidden(space), where + ".ratio"));
  for (const int width : ffn.width()) check("width " + std::to_string(width), width);
  CheckForms(ffn, space, where);
}

}  // namespace

void ValidateSpace(const proto::Space& space, const std::string& where) {
  RefuseRepeats(space.hidden(), where + ".hidden");
  RefuseRepeats(space.layers(), where + ".layers");
  std::set<std::string> embeddings;
  for (int i = 0; i < space.embedding_size(); ++i)
    if (!embeddings.insert(space.embedding(i).SerializeAsString()).second)
      throw BadRequest(where + ".embedding[" + std::to_string(i) + "]", "a value stands twice",
                       space.embedding(i).ShortDebugString(), "each value once");
  for (const int hidden : space.hidden())
    if (hidden % space.heads() != 0 && space.head_width() == 0)
      throw BadRequest(where + ".heads", "the heads must divide the hidden width",
                       std::to_string(space.heads()),
                       "a divisor of " + std::to_string(hidden) + ", or a head_width of their own");
  const int depth = *std::max_element(space.layers().begin(), space.layers().end());
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
      if (at < 0 || at >= depth)
        throw BadRequest(here + ".at", "there is no such layer", std::to_string(at),
                         "0 to " + std::to_string(depth - 1));
      if (!named.insert(at).second)
        throw BadRequest(here + ".at", "a layer is named twice", std::to_string(at), "each layer once");
    }
    for (const int hidden : space.hidden()) {
      auto section = space;
      section.set_hidden(0, hidden);
      ValidateMixers(block, section, here);
      ValidateFfn(block, section, here + ".ffn");
    }
  }
  if (common < 0 && static_cast<int>(named.size()) < depth) {
    int missing = 0;
    while (named.count(missing)) ++missing;
    throw BadRequest(where + ".layer", "no block speaks for layer " + std::to_string(missing), "",
                     "a block without `at`");
  }
}

}  // namespace thimble::search
