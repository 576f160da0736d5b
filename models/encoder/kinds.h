// What layers are made of: five catalogues (operators: arch/operator.h), one file a kind and one line in the
// folder's .inc. A kind is a function over Ops; everything else that is known of it is derived by reading
// that function (encoder/trace.h), but for the few facts in its entry. docs/adding.md adds one, step by step.
#pragma once
#include <string>
#include <vector>

#include "models/arch/architecture.h"
#include "models/encoder/ops.h"

namespace thimble::models {

// --- How the tokens of a sequence exchange information: mixers/ ---

// A mixer makes a context; the layer owns the linear named kOutput, the residual and the norm behind it.
struct MixerInput {
  Value key;    // [B, T, width]
  Value query;  // the same; of an entry with one_query in a layer of which only the first token is read: [B,
                // 1, width]
  Value value;  // as keys; [B, T, hidden] where queries and keys share a linear of a bottleneck
  Value bias;   // Ops::PaddingBias
  Tokens queries = Tokens::kAll;  // of which tokens `query` is
  int width = 0;                  // at which layers work
  int heads = 0;                  // Architecture.heads, which divides it
  int positions = 0;              // Architecture.positions: the longest row
};
inline constexpr char kOutput[] = "out";

struct MixerEntry {
  std::string name;  // as in mixers.inc
  // The context, [B, T, any width]. Nothing: tokens exchange nothing, and the layer has no output linear.
  Value (*mix)(const proto::Mixer& spec, MixerInput in, Ops& ops) = nullptr;
  // Throws a BadRequest, as "where.FIELD", if the fields do not go together in this shape.
  void (*check)(const proto::Mixer& spec, const ResolvedArchitecture& shape,
                const std::string& where) = nullptr;
  const char* scope = nullptr;  // of its weights, layer.N.SCOPE; nullptr: its name
  bool bert = false;            // without fields it is what BERT has
  // Its context has the tokens of in.query, and is asked for the first alone where no other is read. Else it
  // is made of all tokens whatever is read.
  bool one_query = false;
  // Its class in modeling_thimble.py, named as its message, derived from Mixer: mix(query_key, value, mask)
  // makes the context. Empty if there is none to be made.
  const char* python = "";
};

// --- What attention adds to its scores, by where two tokens stand: attention_biases/ ---

struct AttentionBiasEntry {
  std::string name;
  // Maps of as many channels as heads (Ops::Distances), in the scope of its name.
  Value (*maps)(const proto::SelfAttention& spec, int heads, Tokens queries, Ops& ops) = nullptr;
  const char* python =
      "";  // its class, derived from nn.Module: of (spec, heads); forward(mask) returns the maps
};

// MixerEntry::check of those that read neither queries nor keys: refuses a bottleneck with a linear for these
// alone.
void RefuseSharedQueryKey(const proto::Mixer& spec, const ResolvedArchitecture& shape,
                          const std::string& where);

// Throws a BadRequest of the field `where` unless the kernel has a token in its middle.
void RequireMiddle(int kernel, const std::string& where);

struct HeadSize {
  int count = 0, width = 0;  // channels of each
};
// What the message of a mixer says (fields heads and head_width), else the model's: `heads` of them, which
// share `width`.
template <typename Spec>
HeadSize HeadSizeOf(const Spec& spec, int heads, int width) {
  return {spec.heads() > 0 ? spec.heads() : heads, spec.head_width() > 0 ? spec.head_width() : width / heads};
}

// --- f of a block y = norm(x + f(x)): feed_forwards/ ---

struct FeedForwardEntry {
  std::string name;
  // f(x), of each token by itself: x and f(x) are [B, T, outer], or of the first token alone. The linear that
  // the sliced start fits is named "down"; behind it only Apply and Combine may stand. Nothing: the block is
  // its norm.
  Value (*run)(const LayerShape& layer, int outer, const Value& x, Ops& ops) = nullptr;
  // Checks the fields at the shape's block_width and layer->width, and keeps in the layer what is made of
  // them once. Throws as MixerEntry::check.
  void (*resolve)(const ResolvedArchitecture& shape, const std::string& where, LayerShape* layer) = nullptr;
  // How people and config.json spell a kind whose field is a text; nullptr: by its message's fields.
  std::string (*text)(const LayerShape& layer) = nullptr;
  const char* python = "";  // its class, derived from Block: value(x) is f(x); `linear` makes its linears
  // Those whose text the class looks up in OPERATORS; nullptr: none.
  std::vector<Operator> (*operators)(const LayerShape& layer) = nullptr;
};

// A linear of a block, dense or as the layer's groups say. Of a Monarch matrix the first factor is
// "NAME.inner", without a bias.
Value BlockLinear(const LayerShape& layer, std::string_view name, const Value& x, int in, int out, Ops& ops,
                  LinearForm form = {});
// That groups divide the block's widths. Throws as MixerEntry::check.
void CheckGroups(const proto::FeedForward& ffn, int outer, int width, const std::string& where);

// --- Token vectors before positions and segments are added: embeddings/ ---

struct EmbeddingEntry {
  std::string name;
  // [B, T, hidden], of a narrow one as wide as its table. Its table, if it has one, is named "token", the
  // linear behind it "project".
  Value (*embed)(const ResolvedArchitecture& shape, Ops& ops) = nullptr;
  bool bert = false;
  // Positions, segments and the norm are as wide as the table; the linear, behind the norm, is the walk's.
  bool narrow = false;
  int own_part = 0;         // which part of what "project" reads (Ops::Linear, in_parts) is the token itself
  const char* python = "";  // its class, derived from Embedding: tokens(ids, mask)
};

const std::vector<MixerEntry>& Mixers();
const std::vector<FeedForwardEntry>& FeedForwards();
const std::vector<EmbeddingEntry>& Embeddings();
const std::vector<AttentionBiasEntry>& AttentionBiases();
const AttentionBiasEntry* BiasOf(const proto::Mixer& mixer);  // nullptr: none
// The kind must be set.
const MixerEntry& EntryOf(const proto::Mixer& mixer);
const FeedForwardEntry& EntryOf(const proto::FeedForward& ffn);
const EmbeddingEntry& EntryOf(const proto::Embedding& embedding);

// The message of its kind. Not of a kind that is a text.
const google::protobuf::Message& KindMessage(const google::protobuf::Message& kinds);

// BERT's own, no field set to anything but its default.
bool IsBerts(const proto::Mixer& mixer);
// Without what it says of the number and width of its heads.
proto::Mixer WithoutHeads(const proto::Mixer& mixer);

// "self_attention", "self_attention { heads: 4 }"; "linear(gelu(linear(x,wb1)),wb2)", "glu { activation:
// \"silu\" }".
std::string TextOf(const proto::Mixer& mixer);
std::string TextOf(const LayerShape& layer);  // of its blocks

}  // namespace thimble::models
