// Update rules on all tensors of a model at once, in a GPU's memory: the maths of optim/kernels, a launch
// each sweep.
//
// A tensor is worked on in chunks, one block each. What a sweep sums over a tensor it leaves as a part for
// each chunk; the next launch adds the parts up in their order: a step gives the same bits every time.
#pragma once
#include <cstdint>

#include "optim/kernels/kernels.h"

namespace thimble::optim::cuda {

inline constexpr int kThreads = 256;        // of a block
inline constexpr int64_t kMostRows = 1024;  // of a chunk

// One parameter: matrices of one shape, one behind the other, or (columns 0) elements without factors.
struct Tensor {
  float* value;
  float* momentum;                                       // first moment of Adam
  float* second;                                         // second moment of every element; without factors
  float *row, *column, *residual_row, *residual_column;  // of all matrices, one behind the other
  float* column_factors;                                 // scratch: 1 / roots of the last column statistics
  int64_t elements, matrices, rows, columns;             // matrices 0 where columns are
  int64_t first_matrix;                                  // among those of all tensors
  int64_t first_chunk;                                   // among all chunks
  int64_t chunks_of_matrix;                              // or of the elements
};

// Rows of one matrix, or elements of a tensor without factors.
struct Chunk {
  int64_t tensor, matrix, first, count;
  int64_t part;  // its first sum: one a column and, of squares, as many weighted ones; without factors one
};

// What changes from step to step, for each tensor. Without a gradient a tensor is left alone.
struct Update {
  const float* gradient;
  double rate, decay;  // decay: times the rate
  AdamRates adam;
};

struct Plan {
  const Tensor* tensors;
  const Chunk* chunks;
  const Update* updates;
  int tensor_count, chunk_count;
  double* parts;
  double* row_means;  // by matrix
  float* clips;       // by tensor
};

struct CameRates {
  float beta1, beta2, beta3;  // of what was
  float rest1, rest2, rest3;  // of what is new
  float epsilon1, epsilon2;
  double clip_threshold;
};

void CameStep(const Plan& plan, const CameRates& rates, void* stream);
void AdamStep(const Plan& plan, void* stream);

}  // namespace thimble::optim::cuda
