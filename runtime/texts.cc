#include "runtime/texts.h"

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "base/error.h"
#include "data/label_order.h"
#include "data/spans.h"
#include "models/encoder/resolve.h"
#include "models/hub/hub_config.h"
#include "models/hub/read_length.h"

namespace thimble::runtime {
namespace {

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

Kind KindOf(const ModelFacts& facts) {
  if (facts.head == models::TaskHead::kTokens) return Kind::kSpan;
  if (facts.multi_label) return Kind::kMultiLabel;
  return facts.classes == 1 ? Kind::kRegression : Kind::kClassification;
}

// Tokens of a row or window: as many as are asked for, or as the model was trained with.
int LengthOf(const ModelFacts& facts, const Options& options) {
  // Room for [CLS], two [SEP] and a token of each text.
  constexpr int kShortest = 5;
  if (options.max_length == 0) return models::ReadLength(facts.settings, facts.head, facts.positions);
  if (options.max_length < kShortest || options.max_length > facts.positions)
    throw BadRequest("max_length", "out of range", std::to_string(options.max_length),
                     "0, or " + std::to_string(kShortest) + " to " + std::to_string(facts.positions));
  return options.max_length;
}

}  // namespace

ModelFacts ReadFacts(const std::string& directory, int classes, models::TaskHead head) {
  const auto config = models::HubConfig::OfDirectory(directory);
  std::string path = config.path();
  proto::Architecture architecture;
  if (config.family()) {
    architecture = config.Architecture();
  } else {
    path = directory + "/architecture.textproto";
    ReadText(path, &architecture);
  }
  const auto shape = models::Resolve(architecture, path);
  ModelFacts facts{.directory = directory,
                   .classes = classes,
                   .head = head,
                   .positions = shape.positions,
                   .segments = shape.segments,
                   .vocabulary = shape.vocabulary};
  if (classes == 0) return facts;
  facts.settings = ReadSettings(config, directory);
  if (head == models::TaskHead::kTokens) return facts;
  facts.settings.null_threshold.reset();
  facts.settings.reading.reset();
  facts.label_names = config.Labels(classes);
  facts.label_ids = config.LabelIds();
  facts.multi_label = config.Problem() == models::ProblemType::kMultiLabel;
  return facts;
}

int ReadTexts::InputOf(int window) const { return spans.empty() ? window : windows.windows[window].row; }

Texts::Texts(ModelFacts facts, const Options& options)
    : facts_(std::move(facts)), tokenizer_(facts_.directory), kind_(KindOf(facts_)) {
  if (facts_.classes == 0)
    throw BadRequest(facts_.directory, "the model has no task head; `thimble finetune` adds one");
  if (tokenizer_.size() > facts_.vocabulary)
    throw BadRequest(facts_.directory, "the vocabulary has tokens that the model does not know",
                     std::to_string(tokenizer_.size()), "at most " + std::to_string(facts_.vocabulary));
  if (options.batch < 1) throw BadRequest("batch", "must be above 0", std::to_string(options.batch));
  if (options.threads < 0)
    throw BadRequest("threads", "must not be below 0", std::to_string(options.threads));
  length_ = LengthOf(facts_, options);
  if (kind_ == Kind::kSpan) {
    task_ = data::FindTask("squad2");
    const auto& settings = facts_.settings;
    task_.unanswerable = settings.null_threshold.has_value();
    task_.null_threshold = settings.null_threshold.value_or(0);
    if (settings.reading) task_.spans = data::SpanOptionsOf(*settings.reading);
    return;
  }
  const std::string contradiction =
      data::Contradiction({.names = facts_.label_names, .ids = facts_.label_ids});
  if (!contradiction.empty() && !options.assume_label_order)
    throw BadRequest(facts_.directory + "/config.json", contradiction, "",
                     "one order in both; assume_label_order takes id2label's");
  names_ = facts_.label_names;
  for (int i = static_cast<int>(names_.size()); i < facts_.classes; ++i) names_.push_back(std::to_string(i));
}

ReadTexts Texts::Read(const std::vector<Input>& inputs) const {
  ReadTexts read{.inputs = inputs.size()};
  if (kind_ == Kind::kSpan) {
    for (const Input& input : inputs) {
      if (!input.second)
        throw BadRequest(facts_.directory, "the model answers questions about passages", "one text",
                         "a question and a passage");
      read.spans.push_back({.first = input.first, .second = *input.second});
    }
    if (!inputs.empty()) read.windows = data::Tokenize(read.spans, task_, tokenizer_, length_, 1);
    return read;
  }
  for (const Input& input : inputs) {
    const bool pair = input.second.has_value();
    if (pair && facts_.segments < 2)
      throw BadRequest(facts_.directory, "the model knows one segment", "two texts", "one text");
    auto encoding = tokenizer_.Encode(input.first, pair ? *input.second : "", pair, length_);
    read.windows.examples.push_back(
        {.ids = std::move(encoding.ids), .segments = std::move(encoding.segments)});
  }
  return read;
}

void Texts::FillAnswers(const ReadTexts& read, const std::vector<std::vector<double>>& logits,
                        std::vector<Prediction>* predictions) const {
  const auto answers = data::FindAnswers(read.windows, read.spans, task_, logits);
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto& answer = answers[i];
    Prediction& prediction = (*predictions)[i];
    prediction.answer = answer.text;
    for (const auto& choice : answer.n_best) prediction.choices.push_back({choice.text, choice.score});
    if (task_.unanswerable && !answer.n_best.empty()) {
      prediction.null_odds = answer.null_odds;
      prediction.choices.push_back({"", answer.null_odds + answer.n_best[0].score});
    }
    std::vector<double> scores;
    for (const Choice& choice : prediction.choices) scores.push_back(choice.score);
    const auto shares = Shares(scores);
    for (size_t c = 0; c < shares.size(); ++c) prediction.choices[c].probability = shares[c];
  }
}

std::vector<Prediction> Texts::Predictions(ReadTexts read,
                                           const std::vector<std::vector<double>>& logits) const {
  auto& examples = read.windows.examples;
  THIMBLE_CHECK(logits.size() == examples.size(), "the numbers of each window");
  std::vector<Prediction> predictions(read.inputs);
  if (examples.empty()) return predictions;
  if (kind_ == Kind::kSpan) FillAnswers(read, logits, &predictions);
  for (size_t w = 0; w < examples.size(); ++w) {
    Prediction& prediction = predictions[read.InputOf(static_cast<int>(w))];
    prediction.windows.push_back({std::move(examples[w].ids), std::move(examples[w].segments), logits[w]});
    if (kind_ == Kind::kRegression) prediction.score = logits[w][0];
    if (kind_ != Kind::kClassification && kind_ != Kind::kMultiLabel) continue;
    prediction.probabilities = kind_ == Kind::kMultiLabel ? Sigmoid(logits[w]) : Shares(logits[w]);
    prediction.label =
        static_cast<int>(std::max_element(logits[w].begin(), logits[w].end()) - logits[w].begin());
    prediction.label_name = names_[prediction.label];
  }
  return predictions;
}

}  // namespace thimble::runtime
