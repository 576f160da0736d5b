#include "runtime/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "data/dataset.h"
#include "data/label_order.h"
#include "data/spans.h"
#include "data/task.h"
#include "models/finite.h"
#include "models/hub/pretrained.h"
#include "models/latency.h"
#include "models/padding.h"

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

std::vector<double> Shares(std::vector<double> scores) {
  if (scores.empty()) return scores;
  const double top = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - top);
  for (double& score : scores) score /= total;
  return scores;
}

// Each output for itself.
std::vector<double> Sigmoid(std::vector<double> scores) {
  for (double& score : scores) score = 1 / (1 + std::exp(-score));
  return scores;
}

Kind KindOf(const models::Pretrained& loaded) {
  if (loaded.model.head == models::Head::kTokens) return Kind::kSpan;
  if (loaded.multi_label) return Kind::kMultiLabel;
  return loaded.model.classes == 1 ? Kind::kRegression : Kind::kClassification;
}

}  // namespace

struct Predictor::Impl {
  Impl(const std::string& directory, const Options& asked)
      : options(asked), loaded(models::LoadPretrained(directory)), tokenizer(directory) {
    if (loaded.model.classes == 0)
      throw BadRequest(directory, "the model has no task head; `thimble finetune` adds one");
    const models::Shape& shape = loaded.model.shape;
    if (tokenizer.size() > shape.vocabulary)
      throw BadRequest(directory, "the vocabulary has tokens that the model does not know",
                       std::to_string(tokenizer.size()), "at most " + std::to_string(shape.vocabulary));
    if (options.batch < 1) throw BadRequest("batch", "must be above 0", std::to_string(options.batch));
    if (options.threads < 0)
      throw BadRequest("threads", "must not be below 0", std::to_string(options.threads));
    // Room for [CLS], two [SEP] and a token of each text.
    constexpr int kShortest = 5;
    const int most = shape.positions;
    if (options.max_length != 0 && (options.max_length < kShortest || options.max_length > most))
      throw BadRequest("max_length", "out of range", std::to_string(options.max_length),
                       "0, or " + std::to_string(kShortest) + " to " + std::to_string(most));
    kind = KindOf(loaded);
    length = options.max_length > 0 ? options.max_length : models::ReadLength(loaded);
    if (kind == Kind::kSpan) {
      task = data::FindTask("squad2");
      const auto& settings = loaded.settings;
      task.unanswerable = settings.null_threshold.has_value();
      task.null_threshold = settings.null_threshold.value_or(0);
      if (settings.reading) task.spans = data::SpanOptionsOf(*settings.reading);
    } else {
      const std::string contradiction =
          data::Contradiction({.names = loaded.label_names, .ids = loaded.label_ids});
      if (!contradiction.empty() && !options.assume_label_order)
        throw BadRequest(directory + "/config.json", contradiction, "",
                         "one order in both; assume_label_order takes id2label's");
      names = loaded.label_names;
      for (int i = static_cast<int>(names.size()); i < loaded.model.classes; ++i)
        names.push_back(std::to_string(i));
    }
    if (options.threads > 0) at::set_num_threads(options.threads);
  }

  data::Dataset Tokenize(const std::vector<data::Row>& rows, const std::vector<Input>& inputs) const {
    if (kind == Kind::kSpan) return data::Tokenize(rows, task, tokenizer, length, 1);
    data::Dataset data;
    for (const Input& input : inputs) {
      const bool pair = input.second.has_value();
      if (pair && loaded.model.shape.segments < 2)
        throw BadRequest(loaded.directory, "the model knows one segment", "two texts", "one text");
      auto encoding = tokenizer.Encode(input.first, pair ? *input.second : "", pair, length);
      data.examples.push_back({.ids = std::move(encoding.ids), .segments = std::move(encoding.segments)});
    }
    return data;
  }

  // [examples][numbers]
  std::vector<std::vector<double>> Logits(const data::Dataset& data, Report* report) const {
    const c10::InferenceMode inference;
    std::vector<std::vector<double>> logits(data.examples.size());
    std::vector<double> times;
    for (const auto& rows : data::PlanEvaluation(data, options.batch)) {
      const auto start = Clock::now();
      std::vector<models::TokenRow> tokens;
      for (const int row : rows) tokens.push_back({data.examples[row].ids, data.examples[row].segments});
      const models::Batch batch = models::PadRows(tokens);
      const at::Tensor values = Forward(loaded.model, batch, ForLogits(loaded.model)).logits.contiguous();
      times.push_back(MillisecondsSince(start));
      if (const auto bad = models::FirstNonFiniteRow(values, batch.mask)) {
        const int example = rows[*bad];
        const int input = kind == Kind::kSpan ? data.windows[example].row : example;
        throw WorkFailed(
            loaded.directory + ", input " + std::to_string(input + 1),
            "the model says NaN or infinity, beginning with " + models::FirstNonFinite(loaded.model, batch));
      }
      const int64_t each = values.numel() / values.size(0);
      const float* from = values.const_data_ptr<float>();
      for (size_t b = 0; b < rows.size(); ++b, from += each) {
        const auto length = static_cast<int64_t>(data.examples[rows[b]].ids.size());
        logits[rows[b]].assign(from, from + (kind == Kind::kSpan ? 2 * length : each));
      }
    }
    report->batches = static_cast<int64_t>(times.size());
    report->batch_median_ms = Quantile(times, 0.5);
    report->batch_high_ms = Quantile(times, 0.9);
    for (const double ms : times) report->compute_ms += ms;
    return logits;
  }

  void FillAnswers(const data::Dataset& data, const std::vector<data::Row>& rows,
                   const std::vector<std::vector<double>>& logits,
                   std::vector<Prediction>* predictions) const {
    const auto answers = data::FindAnswers(data, rows, task, logits);
    for (size_t i = 0; i < answers.size(); ++i) {
      const auto& answer = answers[i];
      Prediction& prediction = (*predictions)[i];
      prediction.answer = answer.text;
      for (const auto& choice : answer.n_best) prediction.choices.push_back({choice.text, choice.score});
      if (task.unanswerable && !answer.n_best.empty()) {
        prediction.null_odds = answer.null_odds;
        prediction.choices.push_back({"", answer.null_odds + answer.n_best[0].score});
      }
      std::vector<double> scores;
      for (const Choice& choice : prediction.choices) scores.push_back(choice.score);
      const auto shares = Shares(scores);
      for (size_t c = 0; c < shares.size(); ++c) prediction.choices[c].probability = shares[c];
    }
  }

  const Options options;
  const models::Pretrained loaded;
  const data::WordPiece tokenizer;
  Kind kind = Kind::kClassification;
  int length = 0;
  data::TaskEntry task;  // spans
  std::vector<std::string> names;
};

Predictor::Predictor(const std::string& directory, const Options& options)
    : impl_(std::make_unique<Impl>(directory, options)) {}
Predictor::~Predictor() = default;
Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;

Kind Predictor::kind() const { return impl_->kind; }
const std::vector<std::string>& Predictor::labels() const { return impl_->names; }
bool Predictor::unanswerable() const { return impl_->task.unanswerable; }
int Predictor::max_length() const { return impl_->length; }

std::vector<Prediction> Predictor::Predict(const std::vector<Input>& inputs, Report* report) const {
  Report here;
  const auto start = Clock::now();
  std::vector<data::Row> rows;  // spans
  if (kind() == Kind::kSpan) {
    for (const Input& input : inputs) {
      if (!input.second)
        throw BadRequest(impl_->loaded.directory, "the model answers questions about passages", "one text",
                         "a question and a passage");
      rows.push_back({.first = input.first, .second = *input.second});
    }
  }
  std::vector<Prediction> predictions(inputs.size());
  here.rows = static_cast<int64_t>(inputs.size());
  if (!inputs.empty()) {
    auto data = impl_->Tokenize(rows, inputs);
    here.tokenize_ms = MillisecondsSince(start);
    here.windows = static_cast<int64_t>(data.examples.size());
    here.tokens = data.Tokens();
    const auto logits = impl_->Logits(data, &here);
    if (kind() == Kind::kSpan) impl_->FillAnswers(data, rows, logits, &predictions);
    for (size_t w = 0; w < data.examples.size(); ++w) {
      auto& example = data.examples[w];
      Prediction& prediction = predictions[kind() == Kind::kSpan ? data.windows[w].row : w];
      prediction.windows.push_back({std::move(example.ids), std::move(example.segments), logits[w]});
      if (kind() == Kind::kRegression) prediction.score = logits[w][0];
      if (kind() != Kind::kClassification && kind() != Kind::kMultiLabel) continue;
      prediction.probabilities = kind() == Kind::kMultiLabel ? Sigmoid(logits[w]) : Shares(logits[w]);
      prediction.label =
          static_cast<int>(std::max_element(logits[w].begin(), logits[w].end()) - logits[w].begin());
      prediction.label_name = labels()[prediction.label];
    }
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
