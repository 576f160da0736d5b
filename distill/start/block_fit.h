// Private to start/: one block of a student as the refit sees it.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "distill/start/basis.h"
#include "distill/start/linear_fit.h"
#include "distill/start/output_path.h"

namespace thimble::distill {

// One block y = LayerNorm(residual + path(linear(input))), seen from the fit rows and from the held-out rows.
struct View {
  at::Tensor residual;  // [N, d]
  Centred input;        // [N, m]; undefined if the block has no linear to fit
  OutputPath path;
  const Target* target = nullptr;
};
struct Block {
  std::string name, linear, norm;  // of the report; prefixes of weights
  bool further = false;  // a further block of a layer, or a layer that takes its teacher layer again
  // Its linear is fitted to the teacher's state, with or without the lift, else to the teacher's sum. On
  // SST-2 and MRPC the sum never won in a feed-forward block, and a goal more takes an eighth of a refit.
  bool state = false;
  int64_t groups = 1;             // of the linear
  std::vector<std::string> also;  // linears that are the same
};
struct Trial {
  std::string goal;  // as BlockFit's
  LinearWeights linear;
  at::Tensor scale, shift;    // [d]
  double r2 = 0;              // on the held-out rows
  at::Tensor held_out_state;  // [N, d]
};

View Thin(const View& view, int64_t stride);  // every stride-th token

// What the linear of a block gives for several weights in turn. Weights that differ from those before in the
// bias alone cost no product.
class Values {
 public:
  explicit Values(const View& view) : view_(view) {}  // which must live as long
  // LayerNorm without scale and shift of what the block sums, [N, d].
  at::Tensor Normalised(const LinearWeights& linear, double epsilon);

 private:
  const View& view_;
  LinearWeights last_;
  at::Tensor value_;
};

// A constant for each channel, [d], without mean, large against the state [N, d]. A LayerNorm of state + lift
// is nearly linear in the state, which its scale and shift then restore. Without lift each further LayerNorm
// loses how long a token's state is, and blows up a cautious prediction to the length of a sure one.
at::Tensor Lift(const at::Tensor& state);

}  // namespace thimble::distill
