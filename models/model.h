// An encoder as data: an architecture and its named weights; computing is a function of both. A teacher, a
// student and a supernet are all a Model; a supernet's candidate is the same weights seen through a smaller
// ResolvedArchitecture (the first stacks, the first inner channels).
//
// Weight names (D = teacher_hidden, E = embedding width, m = the layer's inner width, C = classes):
//   embedding.token [V, E]  embedding.position [P, h]  embedding.segment [S, h]
//   embedding.norm.{weight,bias} [h]                 (a narrow embedding: E in the place of h)
//   embedding.project.{weight [h, 3E], bias [h]}     trigram; columns: next, current, previous token
//   embedding.project.{weight [h, E], bias [h]}      factorised
//   layer.N.MIXER.*                                  MIXER: the kind's scope, "attention" of self-attention
//                                                    (mixers/); w = h, with a bottleneck its width
//   layer.N.MIXER.out.{weight [w, c], bias [w]}      c: the context's width
//   layer.N.MIXER.norm.{weight,bias} [w]
//   layer.N.ffn.S.*                                  S from 0: stacked blocks (feed_forwards/)
//   layer.N.ffn.S.norm.{weight,bias} [w]
//   layer.N.bottleneck.in.{weight [w, h], bias [w]}  what attention and blocks are added to
//   layer.N.bottleneck.qk.{weight [w, h], bias [w]}  with share_query_key: what queries and keys read
//   layer.N.bottleneck.out.{weight [h, w], bias [h]}
//   layer.N.bottleneck.{in,qk,out}.norm.{weight,bias} [w], out: [h]
//   pooler.{weight [p, h], bias [p]}                 when classes > 0; may stand without a head; not with
//                                                    one on tokens
//   head.{weight [C, p], bias [C]}                   when classes > 0; on tokens: weight [C, h]; of masked
//                                                    tokens: models/mlm_head.h
//   fit_dense.{weight [D, h], bias [D]}              training only: student states to teacher width
//   fit_dense.S.{weight [D, h], bias [D]}            likewise, of state S alone (own_projections)
#pragma once
#include <vector>

#include "base/random.h"
#include "models/arch/architecture.h"
#include "models/arch/head.h"
#include "models/encoder/trace.h"
#include "models/weights.h"
#include "proto/architecture.pb.h"

namespace thimble::models {

class Listener;  // models/torch/listener.h

struct Model {
  proto::Architecture architecture;
  ResolvedArchitecture shape;  // Resolve(architecture)
  int classes = 0;             // outputs of the task head; 0: none
  int teacher_hidden = 0;      // rows of fit_dense; 0: none
  Weights weights;
  TaskHead head = TaskHead::kPooled;  // what the head reads, when classes > 0
};

// Every weight of a model, in the order of its Weights.
std::vector<WeightShape> WeightShapes(const ResolvedArchitecture& shape, bool pooler, int classes,
                                      int teacher_hidden, TaskHead head = TaskHead::kPooled);

// A new weight of that name: N(0, 0.02), a bias zero, a LayerNorm's weight 1. A function of name and stream.
at::Tensor NewWeight(const WeightShape& weight, const Random& random);

// With a pooler if there is a head that reads it. Initial values as BERT and EfficientBERT: NewWeight.
Model MakeModel(const proto::Architecture& architecture, int classes, int teacher_hidden, Random random,
                TaskHead head = TaskHead::kPooled);

// Padded to the longest row. B rows, T positions.
struct Batch {
  at::Tensor ids;       // [B, T] int64
  at::Tensor segments;  // [B, T] int64
  at::Tensor mask;      // [B, T] float32: 1 real, 0 padding
  // [B] int64, of regression [B] float, of spans [B, 2] int64 (first and last token); undefined for
  // unlabelled text. Of masked text [B, T] int64: the token to be found, -1 elsewhere.
  at::Tensor labels;
  // Spans: [B, T] float32, 1 where an answer may begin or end: the passage, and [CLS] for none.
  at::Tensor answer_mask;
  int64_t rows() const { return ids.size(0); }
};

// A layer's queries, keys and values, [B, T, w] each, before they are split into heads.
struct Projections {
  at::Tensor query, key, value;
};

struct Outputs {
  // What is empty unless asked for:
  std::vector<at::Tensor> hidden_states;  // L + 1 of [B, T, h]: embedding output first
  // L of [B, H, T, T]: q k / sqrt(head width), before mask and softmax; undefined of mixers without.
  std::vector<at::Tensor> attention_logits;
  // L of [B, H, T, T]: log(phi(q) phi(k)) of mixers whose attention is a kernel, before the mask; a softmax
  // over keys gives its shares. Undefined of others.
  std::vector<at::Tensor> kernel_logits;
  std::vector<Projections> projections;  // L
  std::vector<at::Tensor> mixer_states;  // L of [B, T, w]: what the mixing blocks return, norms included
  // L of [S, B, T, E]: of each of a layer's S blocks the probabilities of its experts; undefined of a layer
  // that does not route.
  std::vector<at::Tensor> routing;
  // Always:
  at::Tensor last_hidden_state;  // [B, T, h]; with first_token_only [B, 1, h]
  // [B, C], of a head on tokens [B, T, C], of one for masked tokens [masked tokens, V]; undefined without a
  // head
  at::Tensor logits;
};

// Dropout of one forward pass; draws come from `random`, so a member of a cohort has its own stream.
struct Dropout {
  double probability = 0;
  Random* random = nullptr;  // of a training step: routers' noise is drawn from it, too
};

struct ForwardOptions {
  const ResolvedArchitecture* candidate = nullptr;  // view of a supernet; nullptr: the model's own shape
  bool hidden_states = false;                       // these six: what Outputs returns beside the last state
  bool attention_logits = false;
  bool kernel_logits = false;
  bool projections = false;
  bool mixer_states = false;
  bool routing = false;
  // Gradient checkpointing: autograd keeps what enters a layer, and the way back computes the layer again,
  // with the same bits. Weights must not change in between; the result cannot be differentiated twice.
  bool recompute = false;
  // Compute of the last layer what a pooled head reads: all but keys and values of the first token alone. The
  // logits are the same to rounding. CHECK: a pooled head, and none of the six above. ForLogits sets it.
  bool first_token_only = false;
  Dropout dropout;
  Listener* listener = nullptr;  // is told of linears and norms
};

// For callers who read nothing of Outputs but the logits and what `asked` asks for: `asked`, with
// first_token_only wherever it may be.
ForwardOptions ForLogits(const Model& model, ForwardOptions asked = {});

// Runs under the caller's grad and autocast mode. LibTorch's autocast keeps the low-precision copies of leaf
// weights: who changes weights in place calls at::autocast::clear_cache() before the next forward pass. Error
// (exit 2) if the batch is longer than the position table.
Outputs Forward(const Model& model, const Batch& batch, const ForwardOptions& options = {});

// Deep copy of the part of `supernet` that `candidate` uses. CHECK: hidden, heads, embedding, bottleneck,
// norm and layer count agree and no layer is larger than the supernet's.
Model CropCandidate(const Model& supernet, const proto::Architecture& candidate);

// --- Pieces of Forward, for the sliced start, which looks inside. ---

// What enters embedding.project, [B, T, 3E] or [B, T, E]; of a plain embedding the token vectors, [B, T, h].
at::Tensor EmbeddingInput(const Model& model, const Batch& batch);
at::Tensor EmbeddingSum(const Model& model, const Batch& batch);  // [B, T, h] before LayerNorm; narrow: E
struct Mixed {
  at::Tensor attention_logits;  // [B, H, T, T]; undefined unless asked for, or of a mixer that has none
  at::Tensor kernel_logits;     // likewise
  Projections projections;      // likewise
  at::Tensor context;           // [B, T, c], before the output linear; undefined of a mixer that makes none
};
// What a layer's mixer, or one beside it, makes of x [B, T, w]. `value_input`: what values are computed from,
// if not from x.
Mixed ComputeMixer(const Model& model, int layer, const proto::Mixer& mixer, const at::Tensor& x,
                   const Batch& batch, const ForwardOptions& options,
                   const at::Tensor* value_input = nullptr);
// f(x) of one stacked block, [B, T, w], before residual and norm.
at::Tensor FeedForwardValue(const Model& model, int layer, int stack, const LayerShape& shape,
                            const at::Tensor& x, Listener* listener = nullptr);
// With prefix.weight and prefix.bias.
at::Tensor Linear(const Model& model, const std::string& prefix, const at::Tensor& x);
at::Tensor LayerNorm(const Model& model, const std::string& prefix, const at::Tensor& x);  // last dimension
at::Tensor Normalise(const Model& model, const std::string& prefix, const at::Tensor& x);  // the model's norm

}  // namespace thimble::models
