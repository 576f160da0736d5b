// Which tokens a teacher's answer depends on: the Fisher information of its outputs, at what each LayerNorm
// receives. As weights of a least-squares refit: optimal brain surgeon on the empirical Fisher, Kurtic et
// al., EMNLP 2022, here with the teacher's own distribution in the place of labels.
#include "distill/start/sensitivity.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "distill/start/sample.h"
#include "models/torch/listener.h"

namespace thimble::distill {
namespace {

struct NormInputs final : models::Listener {
  void OnNorm(const std::string&, const at::Tensor& sum, const at::Tensor&) override { sums.push_back(sum); }
  std::vector<at::Tensor> sums;
};

// What is differentiated, [] each: of rows that do not share tokens the sum over rows tells them apart.
std::vector<at::Tensor> Answers(const models::Model& teacher, const at::Tensor& logits,
                                const models::Batch& batch) {
  if (teacher.head == models::TaskHead::kTokens) {
    const at::Tensor hidden = (1 - batch.mask).to(at::kBool).unsqueeze(2);
    const at::Tensor shares = at::log_softmax(logits.masked_fill(hidden, -1e4), 1);  // [B, T, 2]
    // The same places however the rows are cut into batches: the likeliest, in the place of drawn ones.
    return {shares.gather(1, shares.argmax(1, /*keepdim=*/true)).sum()};
  }
  if (logits.size(1) == 1) return {logits.sum()};
  const at::Tensor log_shares = at::log_softmax(logits, 1), shares = log_shares.detach().exp();
  // sqrt(p) d log p, sqrt(q) d log q with q = 1 - p: together sqrt(p q) d(log p - log q).
  if (logits.size(1) == 2)
    return {((logits.select(1, 1) - logits.select(1, 0)) * (shares.select(1, 0) * shares.select(1, 1)).sqrt())
                .sum()};
  std::vector<at::Tensor> answers;
  for (int64_t c = 0; c < logits.size(1); ++c)
    answers.push_back((log_shares.select(1, c) * shares.select(1, c).sqrt()).sum());
  return answers;
}

}  // namespace

std::vector<at::Tensor> Sensitivity(const models::Model& teacher, const Rows& rows) {
  if (teacher.classes == 0 || teacher.head == models::TaskHead::kMaskedTokens) return {};
  at::AutoGradMode grad(true);
  models::Model model = teacher;  // shares its tensors but for the one that everything is computed from
  model.weights.at("embedding.segment") =
      teacher.weights.at("embedding.segment").detach().clone().requires_grad_(true);
  std::vector<std::vector<at::Tensor>> squares;  // by LayerNorm, of each batch
  for (size_t b = 0; b < rows.batches.size(); ++b) {
    NormInputs norms;
    models::ForwardOptions options;
    options.listener = &norms;
    const at::Tensor logits = models::Forward(model, rows.batches[b], options).logits;
    const auto answers = Answers(teacher, logits, rows.batches[b]);
    squares.resize(norms.sums.size());
    for (size_t a = 0; a < answers.size(); ++a) {
      const auto gradients =
          torch::autograd::grad({answers[a]}, norms.sums, {}, /*retain_graph=*/a + 1 < answers.size());
      for (size_t norm = 0; norm < gradients.size(); ++norm) {
        const at::Tensor square =
            gradients[norm].detach().square().sum(-1).flatten().index_select(0, rows.places[b]);
        if (a == 0)
          squares[norm].push_back(square);
        else
          squares[norm].back() += square;
      }
    }
  }
  std::vector<at::Tensor> all;
  for (const auto& each : squares) all.push_back(at::cat(each));
  return all;
}

std::vector<double> Means(const std::vector<at::Tensor>& sensitivity) {
  std::vector<double> means;
  for (const at::Tensor& each : sensitivity) means.push_back(each.mean().item<double>());
  return means;
}

std::vector<at::Tensor> TokenWeights(const std::vector<at::Tensor>& sensitivity, double share) {
  std::vector<at::Tensor> weights;
  for (const at::Tensor& each : sensitivity) {
    const double mean = each.mean().item<double>();
    weights.push_back(mean > 0 ? each * (share / mean) + (1 - share) : at::ones_like(each));
  }
  return weights;
}

}  // namespace thimble::distill
