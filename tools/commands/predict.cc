// thimble predict MODEL "first sentence" ["second sentence"] [--json]
// thimble predict MODEL "question" "passage"
// thimble predict MODEL --file ROWS.tsv [--json] [--latency]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "runtime/prediction_json.h"
#include "runtime/runtime.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/quantities.h"

namespace thimble::tools {
namespace of_predict {
namespace {

using nlohmann::json;
using runtime::Kind;

struct Request : Options {
  std::string model, file;
  std::vector<std::string> sentences;
  int batch = 32;
  bool json = false, latency = false;
};

// A line is a text, or two with a tab between them: every line has its answer, but for blank ones at the end.
std::vector<runtime::Input> ReadInputs(std::istream& file) {
  std::vector<runtime::Input> inputs;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const size_t tab = line.find('\t');
    runtime::Input input{.first = line.substr(0, tab)};
    if (tab != std::string::npos) input.second = line.substr(tab + 1);
    inputs.push_back(std::move(input));
  }
  const auto blank = [](const std::string& text) {
    return text.find_first_not_of(" \t") == std::string::npos;
  };
  while (!inputs.empty() && blank(inputs.back().first) && blank(inputs.back().second.value_or("")))
    inputs.pop_back();
  return inputs;
}

std::vector<runtime::Input> Inputs(const Request& request) {
  if (request.file.empty() == request.sentences.empty())
    throw BadRequest("predict", "takes sentences or --file, one of the two");
  if (request.file == "-") return ReadInputs(std::cin);
  if (!request.file.empty()) {
    std::ifstream file(request.file);
    if (!file) throw BadRequest(request.file, "cannot be read");
    return ReadInputs(file);
  }
  runtime::Input input{.first = request.sentences[0]};
  if (request.sentences.size() == 2) input.second = request.sentences[1];
  return {input};
}

// Whether the model says that a label is the input's: the likeliest, or of labels that do not exclude one
// another each that is likelier than not.
bool IsChosen(Kind kind, const runtime::Prediction& prediction, size_t label) {
  return kind == Kind::kMultiLabel ? prediction.probabilities[label] > 0.5
                                   : static_cast<int>(label) == prediction.label;
}

// Several lines about the one input.
void PrintOne(const runtime::Predictor& predictor, const runtime::Prediction& prediction) {
  switch (predictor.kind()) {
    case Kind::kRegression:
      std::printf("%.4f\n", prediction.score);
      return;
    case Kind::kClassification:
    case Kind::kMultiLabel:
      for (size_t i = 0; i < prediction.probabilities.size(); ++i)
        std::printf("%s%-20s %.4f\n", IsChosen(predictor.kind(), prediction, i) ? "* " : "  ",
                    predictor.labels()[i].c_str(), prediction.probabilities[i]);
      return;
    case Kind::kSpan:
      break;
  }
  constexpr size_t kShown = 5;
  auto choices = prediction.choices;
  std::stable_sort(choices.begin(), choices.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  for (size_t i = 0; i < std::min(kShown, choices.size()); ++i)
    std::printf("%s%.4f  %s\n", choices[i].text == prediction.answer ? "* " : "  ", choices[i].probability,
                choices[i].text.empty() ? "(no answer)" : choices[i].text.c_str());
}

// One line an input.
void PrintRow(const runtime::Predictor& predictor, const runtime::Prediction& prediction) {
  const Kind kind = predictor.kind();
  if (kind == Kind::kSpan) {
    std::printf("%s\n", prediction.answer.c_str());
  } else if (kind == Kind::kMultiLabel) {
    for (size_t i = 0; i < prediction.probabilities.size(); ++i)
      std::printf("%s%s\t%.4f", i > 0 ? "\t" : "", predictor.labels()[i].c_str(),
                  prediction.probabilities[i]);
    std::printf("\n");
  } else if (kind == Kind::kRegression) {
    std::printf("%.4f\n", prediction.score);
  } else {
    std::printf("%s\t%.4f\n", prediction.label_name.c_str(), prediction.probabilities[prediction.label]);
  }
}

void Run(const Request& request) {
  const auto inputs = Inputs(request);
  MakeDeployment(request);
  const runtime::Predictor predictor(
      request.model, {.batch = request.batch, .assume_label_order = request.assume_label_order});
  const runtime::PredictionOf of{predictor.kind(), predictor.labels(), predictor.unanswerable()};
  runtime::Report report;
  const auto predictions = predictor.Predict(inputs, &report);
  for (const auto& prediction : predictions) {
    if (request.json) {
      std::printf(
          "%s\n",
          PredictionJson(of, prediction).dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    } else {
      request.file.empty() ? PrintOne(predictor, prediction) : PrintRow(predictor, prediction);
    }
  }
  if (!request.latency) return;
  const double rows = static_cast<double>(std::max<int64_t>(report.rows, 1));
  Info(std::to_string(report.rows) + " rows, " + std::to_string(report.tokens) + " tokens, " +
       std::to_string(report.batches) + " batches: tokenizing " + Decimal(report.tokenize_ms, 1) +
       " ms, computing " + Decimal(report.compute_ms, 1) + " ms, " +
       Decimal((report.tokenize_ms + report.compute_ms) / rows, 2) + " ms a row; a batch: median " +
       Decimal(report.batch_median_ms, 1) + " ms, 90th percentile " + Decimal(report.batch_high_ms, 1) +
       " ms");
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("model", request->model, "model directory")->required();
  // One at a time: what stands in brackets would be taken for a list of sentences.
  const auto add = [request](const std::string& text) { request->sentences.push_back(text); };
  app.add_option_function<std::string>("first", add, "a sentence; the first of a pair; a question");
  app.add_option_function<std::string>("second", add, "the second sentence of a pair; a passage");
  app.add_option("--file", request->file,
                 "one row a line, the two texts of a pair with a tab between them; -: standard input");
  app.add_option("--batch", request->batch, "rows computed together")->check(CLI::PositiveNumber);
  app.add_flag(
      "--json", request->json,
      "one JSON object a row: label or labels, logits, probabilities, token ids; answer, n best, windows");
  app.add_flag("--latency", request->latency, "also say how long it took");
  app.add_flag("--assume-label-order", request->assume_label_order,
               "labels are id2label's of its config.json, though label2id contradicts them");
  AddDeployment(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_predict

std::function<void()> predict_command(CLI::App& app) { return of_predict::Add(app); }

}  // namespace thimble::tools
