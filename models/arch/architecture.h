// An Architecture (proto/architecture.proto) checked and resolved to numbers, and its identity.
#pragma once
#include <string>
#include <vector>

#include "models/arch/expression.h"

namespace thimble::proto {
class Architecture;
}

namespace thimble::models {

struct LayerShape {
  Expression expression;
  int stacks = 1;
  int width = 0;  // inner width m = floor(ratio * ffn_hidden)
};

struct Shape {
  int vocabulary = 0, positions = 0, segments = 0;
  int hidden = 0, heads = 0, ffn_hidden = 0, pooler = 0;
  double layer_norm_epsilon = 0;
  int trigram = 0;               // width of the trigram embedding's token table; 0: another embedding
  int factorised = 0;            // likewise of the factorised one; both 0: plain embedding
  int bottleneck = 0;            // width at which the layers work between two linears; 0: at the hidden width
  bool share_query_key = false;  // of a bottleneck: queries and keys read a linear of their own
  bool no_norm = false;          // scale and shift where others have LayerNorm
  std::vector<LayerShape> layers;

  // Of attention's output and of what feed-forward blocks read and return.
  int block_width() const { return bottleneck > 0 ? bottleneck : hidden; }
  // Of what values are computed from.
  int value_input() const { return share_query_key ? hidden : block_width(); }
  int head_width() const { return block_width() / heads; }
  // Inputs of the linear from a narrow token table to the hidden width; 0: there is none.
  int projected() const { return trigram > 0 ? 3 * trigram : factorised; }
  int embedding_width() const { return trigram > 0 ? trigram : factorised > 0 ? factorised : hidden; }
};

// Error (with `where`) if heads do not divide the width at which layers work, a ratio is not "1" or "1/N", an
// expression is invalid or its widths do not fit, or there is no layer.
Shape Resolve(const proto::Architecture& architecture, const std::string& where = "architecture");

// What a student takes over from its teacher: tables, heads, pooler, epsilon. Width, embedding and layers are
// the caller's.
proto::Architecture LikeTeacher(const Shape& teacher);

// Inner width of ratio "1" or "1/N" for a base width; Error on another spelling or a width of 0.
int RatioWidth(const std::string& ratio, int ffn_hidden, const std::string& where = "ratio");

// Expressions in canonical form, defaults left out: equal for architectures that compute the same function
// family.
std::string CanonicalArchitecture(const proto::Architecture& architecture);
std::string ArchitectureHash(
    const proto::Architecture& architecture);  // 16 hex digits of the canonical text's hash

}  // namespace thimble::models
