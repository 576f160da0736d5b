#include "optim/cuda/kernels.h"

#ifdef __CUDACC__
#include "optim/cuda/launch.h"
#endif  // otherwise tests/optim/emulated_cuda.cc includes this file, behind words of its own

namespace thimble::optim::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int64_t kRun = 64;  // rows whose sums are held in float32

template <typename T>
__device__ T WarpSum(T x) {
  for (int apart = kWarp / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(0xffffffffu, x, apart);
  return x;
}

// The sum over the block, in all its threads.
__device__ double BlockSum(double x) {
  __shared__ double sums[kThreads / kWarp];
  x = WarpSum(x);
  __syncthreads();  // of an earlier call
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = x;
  __syncthreads();
  double total = 0;
  for (int warp = 0; warp < kThreads / kWarp; ++warp) total += sums[warp];
  return total;
}

// A chunk's matrix, or a tensor's elements.
struct Part {
  const Tensor& tensor;
  const Chunk chunk;
  const Update& update;
  int64_t offset;  // of the chunk's first element
  __device__ explicit Part(const Plan& plan)
      : tensor(plan.tensors[plan.chunks[blockIdx.x].tensor]),
        chunk(plan.chunks[blockIdx.x]),
        update(plan.updates[chunk.tensor]),
        offset(chunk.matrix * tensor.rows * tensor.columns +
               chunk.first * (tensor.columns > 0 ? tensor.columns : 1)) {}
  __device__ bool factored() const { return tensor.columns > 0; }
  __device__ const float* gradient() const { return update.gradient + offset; }
  __device__ float* of_rows(float* all) const { return all + chunk.matrix * tensor.rows + chunk.first; }
  __device__ float* of_columns(float* all) const { return all + chunk.matrix * tensor.columns; }
};

// body(row of the chunk, lane): a warp a row.
template <typename Body>
__device__ void EachRow(int64_t rows, const Body& body) {
  for (int64_t i = threadIdx.x / kWarp; i < rows; i += kThreads / kWarp)
    body(i, static_cast<int>(threadIdx.x) % kWarp);
}

__device__ float RowFactor(double mean, float row, double scale) {
  return static_cast<float>(static_cast<double>(static_cast<float>(sqrt(mean / static_cast<double>(row)))) *
                            scale);
}

// Row statistics, and parts of the column sums and of the norm: Kernels::square_sums and second_moment.
__global__ void CollectSquares(Plan plan, CameRates rates) {
  const Part part(plan);
  if (part.update.gradient == nullptr) return;
  const float* g = part.gradient();
  const int64_t columns = part.tensor.columns, count = part.chunk.count;
  if (!part.factored()) {
    double squares = 0;
    float* second = part.tensor.second + part.chunk.first;
    for (int64_t i = threadIdx.x; i < count; i += kThreads) {
      second[i] = rates.beta2 * second[i] + rates.rest2 * (g[i] * g[i] + rates.epsilon1);
      const float update = g[i] / sqrtf(second[i]);
      squares += static_cast<double>(update * update);
    }
    squares = BlockSum(squares);
    if (threadIdx.x == 0) plan.parts[part.chunk.part] = squares;
    return;
  }
  __shared__ float weights[kMostRows];
  float* row = part.of_rows(part.tensor.row);
  EachRow(count, [&](int64_t i, int lane) {
    float sum = 0;
    for (int64_t j = lane; j < columns; j += kWarp) sum += g[i * columns + j] * g[i * columns + j];
    sum = WarpSum(sum);
    if (lane > 0) return;
    row[i] = rates.beta2 * row[i] + rates.rest2 * (sum / static_cast<float>(columns) + rates.epsilon1);
    weights[i] = 1 / (row[i] > 1e-38f ? row[i] : 1e-38f);
  });
  __syncthreads();
  for (int64_t j = threadIdx.x; j < columns; j += kThreads) {
    double sum = 0, weighted_sum = 0;
    for (int64_t first = 0; first < count; first += kRun) {
      float of_run = 0, weighted = 0;
      for (int64_t i = first; i < count && i < first + kRun; ++i) {
        const float square = g[i * columns + j] * g[i * columns + j];
        of_run += square;
        weighted += square * weights[i];
      }
      sum += static_cast<double>(of_run);
      weighted_sum += static_cast<double>(weighted);
    }
    plan.parts[part.chunk.part + j] = sum;
    plan.parts[part.chunk.part + columns + j] = weighted_sum;
  }
}

// The mean of a matrix' row statistics, for the whole block.
__device__ double RowMean(const float* row, int64_t rows) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < rows; i += kThreads) sum += static_cast<double>(row[i]);
  return BlockSum(sum) / static_cast<double>(rows);
}

// The sum of the parts of column j (or of a second set of sums) over the chunks of a matrix.
__device__ double PartsOf(const Plan& plan, const Tensor& tensor, int64_t matrix, int64_t j) {
  const Chunk* chunks = plan.chunks + tensor.first_chunk + matrix * tensor.chunks_of_matrix;
  double sum = 0;
#pragma unroll 8
  for (int64_t k = 0; k < tensor.chunks_of_matrix; ++k) sum += plan.parts[chunks[k].part + j];
  return sum;
}

// Returns 1 / root of the new statistic.
__device__ float AverageColumn(double sum, int64_t rows, float beta, float rest, float epsilon,
                               float* state) {
  *state = beta * *state + rest * (static_cast<float>(sum / static_cast<double>(rows)) + epsilon);
  return 1 / sqrtf(*state);
}

// Column statistics and the bound of the update; a block a tensor.
__global__ void FinishSquares(Plan plan, CameRates rates) {
  const Tensor& tensor = plan.tensors[blockIdx.x];
  if (plan.updates[blockIdx.x].gradient == nullptr) return;
  double squares = 0;
  if (tensor.columns == 0) {
    for (int64_t k = threadIdx.x; k < tensor.chunks_of_matrix; k += kThreads)
      squares += plan.parts[plan.chunks[tensor.first_chunk + k].part];
  }
  for (int64_t matrix = 0; matrix < tensor.matrices; ++matrix) {
    const double mean = RowMean(tensor.row + matrix * tensor.rows, tensor.rows);
    if (threadIdx.x == 0) plan.row_means[tensor.first_matrix + matrix] = mean;
    for (int64_t j = threadIdx.x; j < tensor.columns; j += kThreads) {
      float* column = tensor.column + matrix * tensor.columns + j;
      tensor.column_factors[matrix * tensor.columns + j] = AverageColumn(
          PartsOf(plan, tensor, matrix, j), tensor.rows, rates.beta2, rates.rest2, rates.epsilon1, column);
      squares += mean * PartsOf(plan, tensor, matrix, tensor.columns + j) / static_cast<double>(*column);
    }
  }
  squares = BlockSum(squares);
  if (threadIdx.x > 0) return;
  const double excess = sqrt(squares / static_cast<double>(tensor.elements)) / rates.clip_threshold;
  plan.clips[blockIdx.x] = static_cast<float>(1 / (excess > 1 ? excess : 1.0));
}

// Momentum with row statistics and parts of column sums of the residual; without factors the whole rest of
// the step: Kernels::came_momentum and moment_move.
__global__ void Momentum(Plan plan, CameRates rates) {
  const Part part(plan);
  if (part.update.gradient == nullptr) return;
  const float* g = part.gradient();
  const int64_t columns = part.tensor.columns, count = part.chunk.count;
  float* momentum = part.tensor.momentum + part.offset;
  const float clip = plan.clips[part.chunk.tensor];
  if (!part.factored()) {
    const float* second = part.tensor.second + part.chunk.first;
    float* value = part.tensor.value + part.offset;
    const float lost = static_cast<float>(part.update.decay), rate = static_cast<float>(part.update.rate);
    for (int64_t i = threadIdx.x; i < count; i += kThreads) {
      momentum[i] = rates.beta1 * momentum[i] + rates.rest1 * (g[i] / sqrtf(second[i]) * clip);
      value[i] = (value[i] - lost * value[i]) - rate * momentum[i];
    }
    return;
  }
  const double mean = plan.row_means[part.tensor.first_matrix + part.chunk.matrix];
  __shared__ float row_factors[kMostRows];
  const float *row = part.of_rows(part.tensor.row), *column = part.of_columns(part.tensor.column_factors);
  float* residual_row = part.of_rows(part.tensor.residual_row);
  EachRow(count, [&](int64_t i, int lane) {
    const float row_factor = RowFactor(mean, row[i], static_cast<double>(clip));
    float sum = 0;
    for (int64_t j = lane; j < columns; j += kWarp) {
      const float update = g[i * columns + j] * column[j] * row_factor;
      float& m = momentum[i * columns + j];
      m = rates.beta1 * m + rates.rest1 * update;
      sum += (update - m) * (update - m);
    }
    sum = WarpSum(sum);
    if (lane > 0) return;
    residual_row[i] =
        rates.beta3 * residual_row[i] + rates.rest3 * (sum / static_cast<float>(columns) + rates.epsilon2);
    row_factors[i] = row_factor;
  });
  __syncthreads();
  for (int64_t j = threadIdx.x; j < columns; j += kThreads) {
    double sum = 0;
    for (int64_t first = 0; first < count; first += kRun) {
      float of_run = 0;
      for (int64_t i = first; i < count && i < first + kRun; ++i) {
        const float residual = g[i * columns + j] * column[j] * row_factors[i] - momentum[i * columns + j];
        of_run += residual * residual;
      }
      sum += static_cast<double>(of_run);
    }
    plan.parts[part.chunk.part + j] = sum;
  }
}

// Column statistics of the residual; a block a tensor.
__global__ void FinishResiduals(Plan plan, CameRates rates) {
  const Tensor& tensor = plan.tensors[blockIdx.x];
  if (plan.updates[blockIdx.x].gradient == nullptr) return;
  for (int64_t matrix = 0; matrix < tensor.matrices; ++matrix) {
    const double mean = RowMean(tensor.residual_row + matrix * tensor.rows, tensor.rows);
    if (threadIdx.x == 0) plan.row_means[tensor.first_matrix + matrix] = mean;
    for (int64_t j = threadIdx.x; j < tensor.columns; j += kThreads)
      tensor.column_factors[matrix * tensor.columns + j] =
          AverageColumn(PartsOf(plan, tensor, matrix, j), tensor.rows, rates.beta3, rates.rest3,
                        rates.epsilon2, tensor.residual_column + matrix * tensor.columns + j);
  }
}

// The weights of matrices: Kernels::factored_move.
__global__ void Move(Plan plan) {
  const Part part(plan);
  if (part.update.gradient == nullptr || !part.factored()) return;
  const int64_t columns = part.tensor.columns;
  const double mean = plan.row_means[part.tensor.first_matrix + part.chunk.matrix];
  const float *row = part.of_rows(part.tensor.residual_row),
              *column = part.of_columns(part.tensor.column_factors);
  const float* momentum = part.tensor.momentum + part.offset;
  float* value = part.tensor.value + part.offset;
  const float lost = static_cast<float>(part.update.decay);
  EachRow(part.chunk.count, [&](int64_t i, int lane) {
    const float row_factor = RowFactor(mean, row[i], part.update.rate);
    for (int64_t j = lane; j < columns; j += kWarp) {
      float& p = value[i * columns + j];
      p = (p - lost * p) - momentum[i * columns + j] * column[j] * row_factor;
    }
  });
}

// Kernels::adam.
__global__ void Adam(Plan plan) {
  const Part part(plan);
  if (part.update.gradient == nullptr) return;
  const AdamRates r = part.update.adam;
  const float* g = part.gradient();
  float *m = part.tensor.momentum + part.offset, *v = part.tensor.second + part.offset,
        *p = part.tensor.value + part.offset;
  for (int64_t i = threadIdx.x; i < part.chunk.count; i += kThreads) {
    const float gradient = g[i] + r.couple * p[i];
    m[i] = r.beta1 * m[i] + r.rest1 * gradient;
    v[i] = r.beta2 * v[i] + r.rest2 * gradient * gradient;
    p[i] = r.keep * p[i] - r.rate * m[i] / (sqrtf(v[i]) * r.correction2 + r.epsilon);
  }
}

}  // namespace

void CameStep(const Plan& plan, const CameRates& rates, void* stream) {
  Launch(CollectSquares, plan.chunk_count, stream, plan, rates);
  Launch(FinishSquares, plan.tensor_count, stream, plan, rates);
  Launch(Momentum, plan.chunk_count, stream, plan, rates);
  Launch(FinishResiduals, plan.tensor_count, stream, plan, rates);
  Launch(Move, plan.chunk_count, stream, plan);
}

void AdamStep(const Plan& plan, void* stream) { Launch(Adam, plan.chunk_count, stream, plan); }

}  // namespace thimble::optim::cuda
