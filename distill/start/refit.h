// Private to start/: a student's output linears and norms fitted, block by block, to what the teacher's
// blocks do.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "distill/start/basis.h"
#include "distill/start/linear_fit.h"
#include "distill/start/sliced.h"
#include "proto/study.pb.h"

namespace thimble::distill {

class CrossValidation;

enum class Refit { kNormsOnly, kAll, kNothing };

// Walks through the student block by block (the refit) and changes its output linears and LayerNorms. With
// kNormsOnly it sets the LayerNorms of a supernet and the output biases of its further blocks; the held-out
// rows have no say. With kNothing it only reports.
// A linear that is fitted: what it reads, what it should write for the sum before the norm to be the
// teacher's [N, d], and its weights before.
using OnRegression = std::function<void(const std::string& block, const Centred& input,
                                        const at::Tensor& goal, const at::Tensor& sliced)>;

struct RefitInput {
  const TeacherRecord& record;
  const std::vector<Target>& fit;  // by teacher LayerNorm
  const std::vector<Target>& held_out;
  const std::vector<int>& layer_map;  // teacher layer (from 1) of each student layer
  double ridge = 0;
  Refit what = Refit::kAll;
  proto::Sliced_Goal goal;
  CrossValidation* cross_validation = nullptr;  // is shown every regression of a refit
  OnRegression on_regression = nullptr;
};
std::vector<BlockFit> RefitBlocks(const RefitInput& input, models::Model* student);

}  // namespace thimble::distill
