// Private to start/: ridge and sample size by cross-validation over the regressions of one refit.
#pragma once
#include <array>

#include "distill/start/linear_fit.h"
#include "distill/start/output_path.h"
#include "distill/start/sample.h"

namespace thimble::distill {

// Sequences are dealt to twelve parts; each of three folds is predicted from the other two, on one, two, four
// and all eight of their parts, for several ridges. Everything is computed from the parts' second moments, so
// that a fold costs a factorisation and no pass over tokens. What is minimised: the share of the goals'
// variance left unexplained, added over all blocks.
class CrossValidation {
 public:
  static constexpr std::array<double, 6> kRidges = {1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 1};

  explicit CrossValidation(const Rows& rows);

  // A regression of goal [N, out] on input [N, in], pulled towards `sliced` [out, in].
  void Add(const Centred& input, const at::Tensor& goal, const at::Tensor& sliced);

  bool empty() const { return blocks_ == 0; }
  double Ridge() const;  // the best on all eight parts
  // As few tokens as lose no more than two hundredths of what is unexplained against twice as many; all, if
  // none of the counts tried is enough. `ridge`: one of kRidges, or the nearest of them is looked at.
  int64_t Tokens(double ridge) const;
  double Unexplained(double ridge) const;  // mean over the blocks, on all eight parts

 private:
  static constexpr int kParts = 12, kFolds = 3, kSizes = 4;  // 1, 2, 4, 8 parts
  static size_t Index(double ridge);

  std::array<at::Tensor, kParts> places_;  // tokens of each part
  int64_t tokens_ = 0;
  int blocks_ = 0;
  std::array<std::array<double, kSizes>, kRidges.size()> unexplained_ =
      {};  // by ridge and size, added over blocks
};

}  // namespace thimble::distill
