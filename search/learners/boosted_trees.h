// Gradient-boosted trees as a classifier of two classes: XGBoost (Chen and Guestrin, KDD 2016) in one thread,
// so that the same rows give the same trees.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"

namespace thimble::search {

// Rows of numbers, one behind the other.
struct Rows {
  int columns = 0;
  std::vector<float> values{};

  int count() const { return columns == 0 ? 0 : static_cast<int>(values.size()) / columns; }
  const float* row(int i) const { return values.data() + static_cast<size_t>(i) * columns; }
  void Add(const float* row) { values.insert(values.end(), row, row + columns); }
};

class BoostedTrees {
 public:
  // XGBoost's defaults.
  struct Options {
    double learning_rate = 0.3;
    int max_depth = 6;
    int max_leaves = 0;            // 0: as many as the depth allows
    double columns = 1, rows = 1;  // share of them that a tree sees
    double l1 = 0, l2 = 1, child_weight = 1;
  };

  BoostedTrees(const Rows& rows, const std::vector<float>& labels, const Options& options, uint64_t seed);

  std::vector<float> Predict(const Rows& rows) const;  // probability of label 1

 private:
  std::shared_ptr<void> booster_;
};

struct HeldOutTrees {
  BoostedTrees trees;
  double accuracy =
      0;  // on the rows that were held out, both labels of one weight: whoever always says the same has 0.5
};
// Fits to a random 80% of the rows; `tuning` trials of a tree-structured Parzen estimator look for the
// hyper-parameters with the least log loss on the others. Each label must occur twice at least.
HeldOutTrees FitTuned(const Rows& rows, const std::vector<float>& labels, int tuning, Random random);

}  // namespace thimble::search
