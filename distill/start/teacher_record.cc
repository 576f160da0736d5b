// Step 1 of docs/sliced_start.md: the teacher's states and their principal directions.

#include "distill/start/teacher_record.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "distill/start/basis.h"
#include "distill/start/heads.h"
#include "distill/start/linear_fit.h"
#include "distill/start/mixer_cut.h"
#include "distill/start/output_path.h"
#include "distill/start/sample.h"
#include "distill/start/sensitivity.h"
#include "models/encoder/encoder.h"
#include "models/encoder/kinds.h"
#include "models/torch/listener.h"

namespace thimble::distill {
namespace {

constexpr int64_t kHeldOutTokens = 3072;
constexpr double kVarianceShare = 1e-4;  // of the mean variance, added to covariances
constexpr double kRounding = 1e-6;       // of the mean second moment, added too: states are float32

// Second moments of [x 1], in float64: rounding of float32 products grows a thousandfold through readings and
// LayerNorms.
struct Sums {
  at::Tensor product;  // [D, D]: its upper triangle
  at::Tensor total;    // [D]
  double count = 0;
  void Add(const at::Tensor& x) {
    // In chunks: fresh memory of the whole costs more than the arithmetic.
    constexpr int64_t kChunk = 2048;
    if (!product.defined()) {
      product = at::zeros({x.size(1), x.size(1)}, at::kDouble);
      total = at::zeros({x.size(1)}, at::kDouble);
    }
    for (int64_t first = 0; first < x.size(0); first += kChunk) {
      const at::Tensor wide = x.slice(0, first, std::min(x.size(0), first + kChunk)).to(at::kDouble);
      AddGram(wide, &product);
      total += wide.sum(0);
    }
    count += x.size(0);
  }
};

struct Statistics {
  std::vector<Sums> states;             // by LayerNorm
  std::vector<at::Tensor> activations;  // by layer: sum of |activation|, [m] float64
  std::vector<at::Tensor>
      head_energy;  // by layer: sum over tokens of the square of what a head adds, [H] float64
};

// What the second linear of a block read.
struct DownInput final : models::Listener {
  void OnLinear(const std::string& name, const at::Tensor& input, const at::Tensor&) override {
    if (name.ends_with(".down")) read = input;
  }
  at::Tensor read;
};

void Add(const at::Tensor& value, size_t layer, std::vector<at::Tensor>* sums) {
  if (sums->size() <= layer)
    sums->push_back(value);
  else
    (*sums)[layer] += value;
}

// Of context [N, H w], about its mean: a constant goes to the output's bias. [H] float64.
at::Tensor HeadEnergy(const models::Model& teacher, const std::string& scope, const Heads& heads,
                      const at::Tensor& context) {
  const at::Tensor out = teacher.weights.at(scope + models::kOutput + std::string(".weight"));
  const at::Tensor centred = context - context.mean(0);
  at::Tensor energy = at::zeros({heads.count}, at::kDouble);
  for (int64_t head = 0; head < heads.count; ++head) {
    const at::Tensor moved = centred.slice(1, head * heads.width, (head + 1) * heads.width),
                     columns = out.slice(1, head * heads.width, (head + 1) * heads.width);
    energy[head] = (Gram(moved) * Gram(columns)).sum();
  }
  return energy;
}

// Most first.
at::Tensor Descending(const at::Tensor& importance) {
  return std::get<1>(at::sort(importance, /*stable=*/true, /*dim=*/0, /*descending=*/true));
}

// Runs the teacher over `rows`, adds to `statistics` unless nullptr, and appends the pre-norm sums to `sums`
// unless nullptr.
void Walk(const models::Model& teacher, const Rows& rows, Statistics* statistics,
          std::vector<at::Tensor>* sums) {
  int norm = 0;
  auto pass_norm = [&](const std::string& prefix, const at::Tensor& z) {
    at::Tensor x = models::LayerNorm(teacher, prefix, z);
    if (statistics) {
      if (statistics->states.size() <= static_cast<size_t>(norm)) statistics->states.emplace_back();
      statistics->states[norm].Add(x);
    }
    if (sums) sums->push_back(z);
    ++norm;
    return x;
  };
  at::Tensor x = pass_norm("embedding.norm", PackedEmbeddingSum(teacher, rows));
  for (size_t l = 0; l < teacher.shape.layers.size(); ++l) {
    std::string layer = "layer." + std::to_string(l);
    const proto::Mixer& mixer = teacher.shape.layers[l].mixer;
    const std::string scope = models::MixerScope(static_cast<int>(l), mixer) + ".";
    at::Tensor context = PackedContext(teacher, l, mixer, rows, x);
    if (statistics)
      Add(HeadEnergy(teacher, scope, HeadsOf(teacher.shape, mixer), context), l, &statistics->head_energy);
    x = pass_norm(scope + "norm", x + models::Linear(teacher, scope + models::kOutput, context));
    DownInput inner;
    at::Tensor value =
        models::FeedForwardValue(teacher, l, 0, teacher.shape.layers[l], x.unsqueeze(0), &inner).squeeze(0);
    if (statistics) Add(ColumnSums(inner.read.flatten(0, 1).abs_()), l, &statistics->activations);
    x = pass_norm(layer + ".ffn.0.norm", x + value);
  }
}

void WeighFit(const models::Model& teacher, double weigh, TeacherRecord* record) {
  record->fit_weights.clear();
  record->sensitivities.clear();
  if (weigh == 0) return;
  const auto sensitivity = Sensitivity(teacher, record->fit);
  record->fit_weights = TokenWeights(sensitivity, weigh);
  record->sensitivities = Means(sensitivity);
}

at::Tensor CountTokens(const std::vector<models::Batch>& batches, int vocabulary) {
  at::Tensor counts = at::zeros({vocabulary}, at::kDouble);
  for (const models::Batch& batch : batches) {
    counts.index_add_(0, batch.ids.flatten(), batch.mask.flatten().to(at::kDouble));
  }
  return counts;
}

// Rows: the direction of the mean over D, then the others by the energy that the teacher's hidden states have
// along them.
at::Tensor PrincipalDirections(const Statistics& statistics) {
  int64_t width = statistics.states[0].total.size(0);
  at::Tensor energy = statistics.states[0].product.clone();
  for (size_t norm = 2; norm < statistics.states.size(); norm += 2) energy += statistics.states[norm].product;
  energy = Symmetric(energy);
  at::Tensor mean_direction = at::full({width, 1}, 1 / std::sqrt(width), at::kDouble);
  at::Tensor keep = at::eye(width, at::kDouble) - mean_direction.matmul(mean_direction.t());
  energy = keep.matmul(energy).matmul(keep);
  energy = (energy + energy.t()) / 2;
  // Puts the mean's direction below all others, so that eigh returns it first.
  energy -= mean_direction.matmul(mean_direction.t()) * (1 + energy.diagonal().sum());
  at::Tensor vectors = std::get<1>(at::linalg_eigh(energy));  // columns, ascending
  vectors = vectors.slice(1, 1).flip({1}).t();
  return at::cat({mean_direction.t(), vectors * Signs(vectors)}).contiguous();
}

}  // namespace

TeacherRecord Record(const models::Model& teacher, const std::vector<models::Batch>& fit,
                     const std::vector<models::Batch>& held_out, int64_t tokens, double weigh) {
  TeacherRecord record;
  Split split = SplitRows(fit, tokens);
  record.fit = std::move(split.kept);
  record.held_out = SplitRows(held_out, kHeldOutTokens).kept;
  record.token_counts = CountTokens(fit, teacher.shape.vocabulary);

  Statistics statistics;
  Walk(teacher, record.fit, &statistics, &record.fit_sums);
  for (const Rows& rows : split.rest) Walk(teacher, rows, &statistics, nullptr);
  Walk(teacher, record.held_out, nullptr, &record.held_out_sums);
  if (weigh > 0) record.held_out_weights = TokenWeights(Sensitivity(teacher, record.held_out), weigh);
  WeighFit(teacher, weigh, &record);

  record.directions = PrincipalDirections(statistics);
  for (const Sums& sums : statistics.states) {
    at::Tensor mean = sums.total / sums.count;
    at::Tensor moment = Symmetric(sums.product) / sums.count, covariance = moment - at::outer(mean, mean);
    auto level = [](const at::Tensor& matrix) {
      return std::max(0.0, matrix.diagonal().mean().item<double>());
    };
    double floor = kVarianceShare * level(covariance) + kRounding * level(moment);
    record.states.push_back({mean, covariance + floor * at::eye(mean.size(0), at::kDouble)});
  }
  for (size_t l = 0; l < statistics.activations.size(); ++l) {
    at::Tensor columns =
        teacher.weights.at("layer." + std::to_string(l) + ".ffn.0.down.weight").to(at::kDouble);
    at::Tensor importance = statistics.activations[l] * columns.norm(2, 0);
    record.by_output.neurons.push_back(Descending(importance));
    record.by_output.heads.push_back(Descending(statistics.head_energy[l]));
  }
  return record;
}

void Resample(const models::Model& teacher, const std::vector<models::Batch>& fit, int64_t tokens,
              double weigh, TeacherRecord* record) {
  record->fit = SplitRows(fit, tokens).kept;
  record->fit_sums.clear();
  Walk(teacher, record->fit, nullptr, &record->fit_sums);
  WeighFit(teacher, weigh, record);
}
}  // namespace thimble::distill
