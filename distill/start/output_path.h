// Private to start/: fitting the last linear inside a feed-forward block, whatever its kind.
#pragma once
#include <ATen/core/Tensor.h>

#include <variant>
#include <vector>

#include "models/encoder/ops.h"
#include "models/model.h"

namespace thimble::distill {

struct FeedForwardReading;

// What a block does with the output u of its last linear, the one named "down": nothing but words that work
// element by element stand behind it, so that the value is an element-wise function of u and of operands that
// do not depend on u. Default: the value is u.
class OutputPath {
 public:
  at::Tensor Apply(const at::Tensor& u) const;       // [N, h]
  at::Tensor Derivative(const at::Tensor& u) const;  // [N, h]: of each element with respect to its own u
  bool affine() const;                               // Apply(u) = u + constant
  bool identity() const { return steps_.empty(); }   // Apply(u) = u
  OutputPath Every(int64_t stride) const;            // for every stride-th row of u
  // What to add to all channels of a goal y [N, h] so that the last activation can reach it better: LayerNorm
  // ignores what its channels share. Half the range for a sigmoid, into the linear part for those that are
  // flat below zero.
  double Shift(const at::Tensor& y) const;
  // A u from which to start so that Apply(u) comes near y [N, h]: exact where an activation has an inverse
  // and y is well inside its range. Undefined for a product, or where u or what is made of it is read twice.
  at::Tensor Start(const at::Tensor& y) const;

  // A word of Ops. Values are numbered: 0 is u, i what step i - 1 makes; the last step makes the block's
  // value.
  struct Step {
    bool Is(models::Combination how) const {
      const auto* is = std::get_if<models::Combination>(&word);
      return is != nullptr && *is == how;
    }
    std::variant<models::Function, models::Combination> word;
    int from = 0;
    int with = -1;     // of a combination the second operand; -1: `other`
    at::Tensor other;  // [N, h]
  };

 private:
  friend FeedForwardReading ReadFeedForward(const models::Model& model, int layer, int stack,
                                            const models::LayerShape& shape, const at::Tensor& x,
                                            at::Tensor* memory, int expert);
  std::vector<Step> steps_;
};

struct FeedForwardReading {
  at::Tensor input;  // of the linear "down", [N, m]; undefined of a block that is its norm alone
  OutputPath path;
};

// Reads block `stack` of `layer` for its inputs x [N, h], by its walk. `input` is in `memory`, which blocks
// share. Of routed experts it reads `expert` alone, for the tokens x that go to it. CHECK: the block's value
// is the output of "down", or made of it element by element.
FeedForwardReading ReadFeedForward(const models::Model& model, int layer, int stack,
                                   const models::LayerShape& shape, const at::Tensor& x, at::Tensor* memory,
                                   int expert = -1);

}  // namespace thimble::distill
