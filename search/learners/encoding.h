// An architecture of a stage as numbers, for strategies that learn from scores. What the stage does not vary
// has none. Every architecture can be encoded, one of another stage, too: what is not among the stage's
// values has the place -1. Immutable; no LibTorch.
#pragma once
#include <string>
#include <vector>

#include "models/arch/operator.h"
#include "search/space.h"

namespace thimble::search {

class Encoding {
 public:
  enum class What { kHidden, kLayers, kEmbedding, kMixer, kStacks, kInner, kForm };

  // One thing that has several values in the stage, of all its sections. Order: hidden width, depth,
  // embedding, then of each layer mixer, stacks, inner width, form of the block, up to the greatest depth.
  struct Column {
    What what;
    int layer = -1;                   // from 0; -1: of the whole architecture
    std::vector<std::string> values;  // different ones, as bytes that tell them apart
    // What a value measures, for columns but kEmbedding: channels, layers, heads (0: no mixer), stacks, width
    // or ratio (0: no block); of kForm nothing.
    std::vector<double> numbers;
    std::vector<int> kinds;  // of kMixer: mixers that differ in their heads alone have one kind; of kForm all
  };

  explicit Encoding(const StageSpace& space);

  const std::vector<Column>& columns() const { return columns_; }

  // For each column the place of the architecture's value among the column's; -1 where there is none: no such
  // layer, no block to stack. Expressions have no column.
  std::vector<int> Choices(const proto::Architecture& architecture) const;

  // A point of the unit cube, of `width` numbers. Numbers stand on their column's range, mixers' kinds and
  // embeddings are one-hot; what is not there is 0. Where expressions vary each layer has, beside these, the
  // height over the tallest that there may be and, by operator and place, c / (1 + c) for a count of c.
  // Places: below a linear; beside both, an operand that holds none; above one linear; above both. Operators:
  // those that the space or its seeds name.
  std::vector<double> Scaled(const proto::Architecture& architecture) const;
  int width() const { return width_; }

  // EfficientBERT's features, as its code has them, numbers that a tree of thresholds reads. Where
  // expressions vary, of each layer the first 20 ids of the tree in pre-order, -1 behind its end; a linear's
  // id holds the number of the block, stacks * ratios in the list's order, where that varies. Where they do
  // not, that number alone (0 to 15 as published). Further columns of the stage, each its place.
  std::vector<float> Published(const proto::Architecture& architecture) const;

 private:
  struct Value {
    bool there = false;
    std::string bytes;
    double number = 0;
    std::string kind;  // of a mixer, or a form
  };

  Value Read(What what, int layer, const proto::Architecture& architecture) const;
  void Add(What what, int layer, const std::vector<Value>& values);
  int Find(What what, int layer) const;  // the column's place, or -1
  void ScaleExpression(const std::string& text, std::vector<double>* out) const;

  int head_width_ = 0;  // Space.head_width
  int depth_ = 0;       // the greatest
  std::vector<Column> columns_;
  std::vector<bool> expressions_;  // by layer: the stage varies its
  std::vector<models::Operator> operators_;
  int width_ = 0;
};

}  // namespace thimble::search
