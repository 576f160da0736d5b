#include "runtime/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "models/finite.h"
#include "models/hub/pretrained.h"
#include "models/latency.h"
#include "models/padding.h"
#include "runtime/texts.h"

namespace thimble::runtime {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The value below which a share of the values lies.
double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::lround(share * static_cast<double>(values.size() - 1)))];
}

ModelFacts FactsOf(const models::Pretrained& loaded) {
  const models::ResolvedArchitecture& shape = loaded.model.shape;
  return {.directory = loaded.directory,
          .classes = loaded.model.classes,
          .head = loaded.model.head,
          .positions = shape.positions,
          .segments = shape.segments,
          .vocabulary = shape.vocabulary,
          .multi_label = loaded.multi_label,
          .label_names = loaded.label_names,
          .label_ids = loaded.label_ids,
          .settings = loaded.settings};
}

}  // namespace

struct Predictor::Impl {
  Impl(const std::string& directory, const Options& asked)
      : batch(asked.batch), loaded(models::LoadPretrained(directory)), texts(FactsOf(loaded), asked) {
    if (asked.threads > 0) at::set_num_threads(asked.threads);
  }

  // [windows][numbers]
  std::vector<std::vector<double>> Logits(const ReadTexts& read, Report* report) const {
    const c10::InferenceMode inference;
    const data::Dataset& data = read.windows;
    const bool spans = texts.kind() == Kind::kSpan;
    std::vector<std::vector<double>> logits(data.examples.size());
    std::vector<double> times;
    for (const auto& rows : data::PlanEvaluation(data, batch)) {
      const auto start = Clock::now();
      std::vector<models::TokenRow> tokens;
      for (const int row : rows) tokens.push_back({data.examples[row].ids, data.examples[row].segments});
      const models::Batch padded = models::PadRows(tokens);
      const at::Tensor values = Forward(loaded.model, padded, ForLogits(loaded.model)).logits.contiguous();
      times.push_back(MillisecondsSince(start));
      if (const auto bad = models::FirstNonFiniteRow(values, padded.mask))
        throw WorkFailed(
            loaded.directory + ", input " + std::to_string(read.InputOf(rows[*bad]) + 1),
            "the model says NaN or infinity, beginning with " + models::FirstNonFinite(loaded.model, padded));
      const int64_t each = values.numel() / values.size(0);
      const float* from = values.const_data_ptr<float>();
      for (size_t b = 0; b < rows.size(); ++b, from += each) {
        const auto length = static_cast<int64_t>(data.examples[rows[b]].ids.size());
        logits[rows[b]].assign(from, from + (spans ? 2 * length : each));
      }
    }
    report->batches = static_cast<int64_t>(times.size());
    report->batch_median_ms = Quantile(times, 0.5);
    report->batch_high_ms = Quantile(times, 0.9);
    for (const double ms : times) report->compute_ms += ms;
    return logits;
  }

  const int batch;
  const models::Pretrained loaded;
  const Texts texts;
};

Predictor::Predictor(const std::string& directory, const Options& options)
    : impl_(std::make_unique<Impl>(directory, options)) {}
Predictor::~Predictor() = default;
Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;

Kind Predictor::kind() const { return impl_->texts.kind(); }
const std::vector<std::string>& Predictor::labels() const { return impl_->texts.labels(); }
bool Predictor::unanswerable() const { return impl_->texts.unanswerable(); }
int Predictor::max_length() const { return impl_->texts.max_length(); }

std::vector<Prediction> Predictor::Predict(const std::vector<Input>& inputs, Report* report) const {
  Report here;
  const auto start = Clock::now();
  auto read = impl_->texts.Read(inputs);
  here.rows = static_cast<int64_t>(inputs.size());
  std::vector<Prediction> predictions;
  if (!inputs.empty()) {
    here.tokenize_ms = MillisecondsSince(start);
    here.windows = static_cast<int64_t>(read.windows.examples.size());
    here.tokens = read.windows.Tokens();
    const auto logits = impl_->Logits(read, &here);
    predictions = impl_->texts.Predictions(std::move(read), logits);
  }
  if (report != nullptr) *report = here;
  return predictions;
}

Latency Predictor::MeasureLatency(int batch, int length, int threads, int runs) const {
  const int most = impl_->loaded.model.shape.positions;
  if (batch < 1 || threads < 1 || runs < 1)
    throw BadRequest("latency", "batch, threads and runs must be above 0");
  if (length < 1 || length > most)
    throw BadRequest("latency: length", "out of range", std::to_string(length),
                     "1 to " + std::to_string(most));
  const auto measured = models::MeasureLatency(impl_->loaded.model, batch, length, threads, runs);
  return {measured.median_ms, measured.low_ms, measured.high_ms, measured.runs, batch, length, threads};
}

}  // namespace thimble::runtime
