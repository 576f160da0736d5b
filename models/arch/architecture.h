// An Architecture (proto/architecture.proto) in numbers (encoder/resolve.h makes them), and its identity.
#pragma once
#include <string>
#include <vector>

#include "models/arch/expression.h"
#include "proto/architecture.pb.h"

namespace thimble::models {

struct LayerShape {
  proto::Mixer mixer;
  std::vector<proto::Mixer> beside;  // of a supernet
  proto::FeedForward ffn;
  int stacks = 1;
  int width = 0;          // inner width m: the one given, or floor(ratio * ffn_hidden)
  Expression expression;  // of blocks that are one, parsed
};

struct ResolvedArchitecture {
  int vocabulary = 0, positions = 0, segments = 0;
  int hidden = 0, heads = 0, ffn_hidden = 0, pooler = 0;
  double layer_norm_epsilon = 0;
  proto::Embedding embedding;
  int embedding_width = 0;       // columns of its token table; 0: it has none
  int projected = 0;             // inputs of the linear from there to the hidden width; 0: there is none
  int bottleneck = 0;            // width at which the layers work between two linears; 0: at the hidden width
  bool share_query_key = false;  // of a bottleneck: queries and keys read a linear of their own
  bool position_table = true;
  bool no_norm = false;  // scale and shift where others have LayerNorm
  std::vector<LayerShape> layers;

  // The width of attention's output and of what feed-forward blocks read and return.
  int block_width() const { return bottleneck > 0 ? bottleneck : hidden; }
  // The width of what values are computed from.
  int value_input() const { return share_query_key ? hidden : block_width(); }
};

// What a student takes over from its teacher: tables, heads, pooler, epsilon. Width, embedding and layers are
// the caller's.
proto::Architecture LikeTeacher(const ResolvedArchitecture& teacher);

// Inner width of ratio "1" or "1/N" for a base width; Error on another spelling or a width of 0.
int RatioWidth(const std::string& ratio, int ffn_hidden, const std::string& where = "ratio");
// The inner width of a block: its width, else that of its ratio, 0 of none; Error if it names both.
int InnerWidth(const proto::FeedForward& ffn, int ffn_hidden, const std::string& where = "ffn");

// Of an expression, or of no kind yet; dense linears, no experts.
bool IsDense(const proto::FeedForward& ffn);
// Whether they differ in expression, stacks and size alone.
bool SameForm(const proto::FeedForward& a, const proto::FeedForward& b);

// Expressions in canonical form, defaults left out: equal for architectures that compute the same function
// family.
std::string CanonicalArchitecture(const proto::Architecture& architecture);
std::string ArchitectureHash(
    const proto::Architecture& architecture);  // 16 hex digits of the canonical text's hash

}  // namespace thimble::models
