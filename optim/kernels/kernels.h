// The loops over every weight, written once (kernels_inl.h) and compiled for several instruction sets.
//
// All sets give the same bits: sums are kept in 16 lanes and folded in one fixed order whatever the width of
// a register, and no product is fused with a sum. So what a study finds does not depend on the processor, and
// the plain form is the reference of the others.
//
// Matrices are row-major. Pointers need no alignment. Thread-safe: no state.
#pragma once
#include <cstdint>
#include <vector>

namespace thimble::optim {

struct AdamRates {
  float beta1, rest1;          // of the first moment: old, new
  float beta2, rest2;          // of the second
  float couple;                // decay added to the gradient
  float keep;                  // 1 - rate * decoupled decay
  float rate;                  // bias correction of the first moment included
  float correction2, epsilon;  // 1 / root of the second moment's bias correction
};

struct LambRates {
  float beta1, rest1, beta2, rest2;
  float correction1, correction2;  // 1 / bias correction of the first moment; 1 / root of the second's
  float epsilon, decay;
};

struct Kernels {
  const char* name;

  // Statistics of g^2 in one sweep: row[i] = beta row[i] + rest (mean over j of g[i][j]^2 + epsilon);
  // column_sums[j] += sum over i of g[i][j]^2, and weighted_sums[j] the same of g[i][j]^2 / row[i], the new
  // row.
  void (*square_sums)(const float* g, int64_t rows, int64_t columns, float beta, float rest, float epsilon,
                      float* row, float* column_sums, float* weighted_sums);
  // CAME, steps 4 and 5, with u = g[i][j] column[j] row[i]: momentum m = beta m + rest u; of (u - m)^2
  // row_sums = sum over j, column_sums += sum over i.
  void (*came_momentum)(const float* g, int64_t rows, int64_t columns, const float* row, const float* column,
                        float beta, float rest, float* momentum, float* row_sums, float* column_sums);
  // p[i][j] = (p[i][j] - decay p[i][j]) - m[i][j] column[j] row[i]. Decay is subtracted, not multiplied by
  // 1 - decay, which float32 would round by up to 3e-8 in the same direction at every step.
  void (*factored_move)(const float* m, int64_t rows, int64_t columns, const float* row, const float* column,
                        float decay, float* p);

  // v = beta v + rest (g^2 + epsilon); returns the sum of squares of g / sqrt(v).
  double (*second_moment)(const float* g, int64_t n, float beta, float rest, float epsilon, float* v);
  // m = beta m + rest (g / sqrt(v) scale); p = (p - decay p) - rate m. m itself is not scaled by the rate:
  // a port that scales it in place loses it.
  void (*moment_move)(const float* g, int64_t n, const float* v, float scale, float beta, float rest,
                      float decay, float rate, float* m, float* p);
  // p = (p - decay p) - rate g / sqrt(v).
  void (*root_move)(const float* g, int64_t n, const float* v, float decay, float rate, float* p);

  void (*adam)(const AdamRates& rates, const float* g, int64_t n, float* m, float* v, float* p);
  // x = g + couple p; m = momentum m + x; p -= rate (nesterov x + look m), which is m or x + momentum m.
  void (*sgd)(const float* g, int64_t n, float couple, float momentum, float nesterov, float look, float rate,
              float* m, float* p);
  // Moments; returns the sum of squares of the step u = m' / (sqrt(v') + epsilon) + decay p.
  double (*lamb_moments)(const LambRates& rates, const float* g, int64_t n, float* m, float* v,
                         const float* p);
  void (*lamb_move)(const LambRates& rates, const float* m, const float* v, int64_t n, float rate, float* p);
  // m = beta m + rest g; p = (p - decay p) - scale m.
  void (*scaled_momentum)(const float* g, int64_t n, float beta, float rest, float scale, float decay,
                          float* m, float* p);

  double (*squares)(const float* x, int64_t n);  // sum of squares, each in double: none overflows
  void (*scale)(float* x, int64_t n, float by);
  void (*clamp)(float* x, int64_t n, float limit);                           // to [-limit, limit]; NaN stays
  void (*approach)(float* average, int64_t n, float share, const float* x);  // average += share (x - average)
};

// Those that this processor runs, the plain one first and the best last.
const std::vector<const Kernels*>& RunnableKernels();
// The best of them.
const Kernels& Kernel();

}  // namespace thimble::optim
