// Private to start/: the parts of the sliced start, in the notation of docs/sliced_start.md. States are
// packed: [N, h] holds the real tokens of a sample one after another, padding left out. D: teacher width, d:
// student width, K = min(d, D).
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "distill/start/output_path.h"
#include "distill/start/sliced.h"
#include "proto/study.pb.h"

namespace thimble::distill {

// --- sample.cc ---

// Rows of a sample in batches of like length.
struct Rows {
  std::vector<models::Batch> batches;
  std::vector<at::Tensor> places;  // of each batch: its real tokens as indices into B * T, [n] int64
  int64_t tokens = 0;
};

struct Split {
  Rows kept;               // rows spread evenly over the lengths, about `tokens` tokens
  std::vector<Rows> rest;  // the others, in groups small enough to compute at once
};
Split SplitRows(const std::vector<models::Batch>& batches, int64_t tokens);

at::Tensor PackedEmbeddingInput(const models::Model& model, const Rows& rows);  // [N, 3E] or [N, h]
at::Tensor PackedEmbeddingSum(const models::Model& model, const Rows& rows);    // [N, h]
// [N, c]; undefined of a mixer that makes no context.
at::Tensor PackedContext(const models::Model& model, int layer, const proto::Mixer& mixer, const Rows& rows,
                         const at::Tensor& x);

// --- basis.cc ---

// LayerNorms are counted from 0: the embedding's, then of layer l (from 0) the attention's 1 + 2 l and the
// block's 2 + 2 l.
inline int AttentionNorm(int layer) { return 1 + 2 * layer; }
inline int BlockNorm(int layer) { return 2 + 2 * layer; }

// Mean and covariance of a teacher state, float64. The covariance has a small multiple of the identity added.
struct Moments {
  at::Tensor mean;        // [D]
  at::Tensor covariance;  // [D, D]
};

// Which of a teacher's heads and neurons a student keeps: by teacher layer, the most useful first, [H] and
// [m] int64.
struct Orders {
  std::vector<at::Tensor> heads, neurons;
};

// What one pass of the teacher over the sample leaves.
struct TeacherRecord {
  Rows fit, held_out;
  std::vector<at::Tensor> fit_sums, held_out_sums;  // what each LayerNorm receives, [N, D] float32
  std::vector<Moments> states;                      // what each LayerNorm returns
  at::Tensor directions;  // [D, D] float64: orthonormal rows, the mean's direction first
  // Neurons by what they write, heads likewise: mean |activation| times norm of the output column, mean
  // energy of what a head adds. [m] and [H] int64.
  Orders by_output;
  // Of tokens in regressions towards each LayerNorm, [N] float32, 1 on average (sensitivity.cc); empty: all
  // alike.
  std::vector<at::Tensor> fit_weights, held_out_weights;
  std::vector<double>
      sensitivities;  // of each LayerNorm, mean over the fit tokens; empty: not asked for yet, or not known
  at::Tensor token_counts;  // [V] float64
};
// `tokens`: how many of the fit rows' tokens refits see. `weigh`: Sliced.weigh_tokens.
TeacherRecord Record(const models::Model& teacher, const std::vector<models::Batch>& fit,
                     const std::vector<models::Batch>& held_out, int64_t tokens, double weigh);
// Replaces the fit rows of a record by fewer or more of the same sample.
void Resample(const models::Model& teacher, const std::vector<models::Batch>& fit, int64_t tokens,
              double weigh, TeacherRecord* record);

// [n, 1]: 1 or -1 for each row of `rows` [n, k], by which its element of largest size becomes positive.
// LAPACK leaves the signs of eigenvectors and singular vectors open, and a student depends on them: P mixes
// directions, and noise is added to factors.
at::Tensor Signs(const at::Tensor& rows);

// The coordinates of a student: P = E B.
struct Basis {
  at::Tensor directions;      // B [K, D] float64, orthonormal rows
  at::Tensor embed;           // E [d, K] float64, orthonormal columns; its first is 1 / sqrt(d) throughout
  at::Tensor Matrix() const;  // P [d, D] float64
};
Basis MakeBasis(const TeacherRecord& record, int width);

// What a block is fitted to, in the student's coordinates.
struct Target {
  at::Tensor sum;       // [N, d] float32: z P^T, each token's mean over D removed before
  at::Tensor state;     // [N, d] float32: LayerNorm(z) P^T
  at::Tensor weights;   // of tokens, [N]; undefined: 1 each
  double variance = 0;  // of `state` about its mean, summed over tokens (by weight) and channels
};
// `weights`: as TeacherRecord::fit_weights.
std::vector<Target> MakeTargets(const models::Model& teacher, const std::vector<at::Tensor>& sums,
                                const std::vector<at::Tensor>& weights, const Basis& basis);

// --- sensitivity.cc ---

// How much a teacher's answer changes with what each LayerNorm receives: by LayerNorm, [N] float32, squared
// gradients |g|^2 of a token. The sum of g g^T over tokens and classes is the Fisher information of the
// teacher's answer, so that KL(teacher, student) is near 1/2 (sum over tokens of g . change)^2: of classes
// g = sqrt(p) d log p, a pass each; of a number its gradient; of a span its likeliest one.
// Empty without a task head that answers rows (no head, masked tokens).
std::vector<at::Tensor> Sensitivity(const models::Model& teacher, const Rows& rows);
std::vector<double> Means(const std::vector<at::Tensor>& sensitivity);
// share |g|^2 / mean |g|^2 + 1 - share.
std::vector<at::Tensor> TokenWeights(const std::vector<at::Tensor>& sensitivity, double share);

// --- reader.cc ---

// The best affine guess of a teacher state from its first K coordinates b = B h: h ~ slope b + offset. With K
// = D it is exact.
struct Reader {
  at::Tensor slope;       // [D, K]
  at::Tensor offset;      // [D]
  at::Tensor mean;        // [K], of b
  at::Tensor spread;      // [K, K]: lower Cholesky factor of the covariance of b
  at::Tensor spread_one;  // [K + 1, K + 1]: of the second moments of [b 1]
};

Reader MakeReader(const Moments& state, const at::Tensor& directions);

// Factors whose product left^T right [n, p] is the nearest of rank `rank` to a^T b, nearness weighted by the
// Cholesky factors of the second moments of what stands on either side (undefined: unweighted).
struct Factors {
  at::Tensor left, right;  // [rank, n], [rank, p]; rows beyond the rank of a^T b are zero
};
Factors Truncate(const at::Tensor& a, const at::Tensor& b, const at::Tensor& spread_a,
                 const at::Tensor& spread_b, int64_t rank);

// N(0, deviation), a function of stream and name. [rows, columns] float64.
at::Tensor Noise(const Random& random, const std::string& name, int64_t rows, int64_t columns,
                 double deviation);

// --- cut.cc ---

// A student layer that takes the same teacher layer as the one before it. It starts as the identity: its
// output linears are zero, its feed-forward blocks take the teacher's next neurons.
inline bool Repeats(const std::vector<int>& layer_map, size_t layer) {
  return layer > 0 && layer_map[layer] == layer_map[layer - 1];
}

// The teacher's heads in a student with another number of them: laid out side by side over the same range,
// those that a student head overlaps, each with the share of it that lies there.
struct HeadShare {
  int64_t head;
  double share;  // a teacher head's shares add up to 1
};
std::vector<std::vector<HeadShare>> ShareHeads(int64_t teacher_heads, int64_t student_heads);

// Overwrites the weights of `student` with steps 2 to 7; LayerNorms stay as they are.
struct CutOptions {
  bool weigh_scores = true;  // factors of query and key are nearest for the sample's states, else for any
  // Heads in their order although all are there, for a supernet that is cropped to fewer of them.
  bool sort_heads = false;
};
void CutTeacher(const models::Model& teacher, const TeacherRecord& record, const Orders& orders,
                const Basis& basis, const std::vector<int>& layer_map, const CutOptions& options,
                models::Model* student, Random random);

// --- refit.cc ---

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
