// thimble predict MODEL "first sentence" ["second sentence"] [--json]
// thimble predict MODEL "question" "passage"
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/spans.h"
#include "tools/common.h"

namespace thimble::tools {
namespace {

struct Request : Options {
  std::string model;
  std::vector<std::string> sentences;
  bool json = false;
};

// The answer that a passage gives to a question; none where the model's threshold says so.
void Answer(const Request& request, const models::Pretrained& loaded) {
  if (request.sentences.size() != 2)
    throw BadRequest(request.model, "the model answers questions about passages", "one text", "a question and a passage");
  data::TaskEntry task = WithThreshold(data::FindTask("squad2"), loaded);
  task.unanswerable = loaded.null_threshold.has_value();
  const data::WordPiece tokenizer(request.model);
  const std::vector<data::Row> rows = {{.first = request.sentences[0], .second = request.sentences[1]}};
  const auto data = data::Tokenize(rows, task, tokenizer, TokenLimit(task, loaded.model.shape), 1);
  const auto logits = train::Logits(loaded.model, data);
  const auto answer = data::FindAnswers(data, rows, task, logits)[0];
  // Shares among the spans listed, and no answer where that may be said.
  std::vector<std::pair<std::string, double>> listed;
  for (const auto& choice : answer.n_best) listed.emplace_back(choice.text, choice.score);
  if (task.unanswerable && !answer.n_best.empty()) listed.emplace_back("", answer.null_odds + answer.n_best[0].score);
  double top = -INFINITY, total = 0;
  for (const auto& [text, score] : listed) top = std::max(top, score);
  for (const auto& [text, score] : listed) total += std::exp(score - top);
  if (request.json) {
    nlohmann::json out = {{"answer", answer.text}, {"n_best", nlohmann::json::array()}, {"windows", nlohmann::json::array()}};
    if (task.unanswerable) out["null_odds"] = answer.null_odds;
    for (const auto& [text, score] : listed)
      out["n_best"].push_back({{"text", text}, {"score", score}, {"probability", std::exp(score - top) / total}});
    for (size_t w = 0; w < data.examples.size(); ++w) {
      const auto& example = data.examples[w];
      const std::vector<double> real(logits[w].begin(), logits[w].begin() + static_cast<std::ptrdiff_t>(2 * example.ids.size()));
      out["windows"].push_back({{"input_ids", example.ids}, {"token_type_ids", example.segments}, {"logits", real}});
    }
    std::printf("%s\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  constexpr size_t kShown = 5;
  std::stable_sort(listed.begin(), listed.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  for (size_t i = 0; i < std::min(kShown, listed.size()); ++i)
    std::printf("%s%.4f  %s\n", listed[i].first == answer.text ? "* " : "  ", std::exp(listed[i].second - top) / total,
                listed[i].first.empty() ? "(no answer)" : listed[i].first.c_str());
}

void Run(const Request& request) {
  MakeDeployment(request);
  const auto loaded = models::LoadPretrained(request.model);
  if (loaded.model.classes == 0)
    throw BadRequest(request.model, "the model has no task head; `thimble finetune` adds one");
  if (loaded.model.head == models::Head::kTokens) return Answer(request, loaded);
  const data::WordPiece tokenizer(request.model);
  const bool pair = request.sentences.size() == 2;
  const auto encoding = tokenizer.Encode(request.sentences[0], pair ? request.sentences[1] : "", pair,
                                         std::min(512, loaded.model.shape.positions));
  data::Dataset data;
  data.examples.push_back({.ids = encoding.ids, .segments = encoding.segments});
  const std::vector<double> logits = train::Logits(loaded.model, data)[0];
  if (logits.size() == 1) {  // regression
    if (request.json) {
      std::printf("%s\n", nlohmann::json({{"score", logits[0]}, {"input_ids", encoding.ids}, {"token_type_ids", encoding.segments}}).dump().c_str());
    } else {
      std::printf("%.4f\n", logits[0]);
    }
    return;
  }
  const std::vector<double> probabilities = train::Softmax(logits);
  const auto label = [&](size_t i) { return i < loaded.label_names.size() ? loaded.label_names[i] : std::to_string(i); };
  const size_t best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  if (request.json) {
    nlohmann::json out;
    out["label"] = label(best);
    out["logits"] = logits;
    out["probabilities"] = probabilities;
    out["input_ids"] = encoding.ids;
    out["token_type_ids"] = encoding.segments;
    std::printf("%s\n", out.dump().c_str());
    return;
  }
  for (size_t i = 0; i < logits.size(); ++i)
    std::printf("%s%-20s %.4f\n", i == best ? "* " : "  ", label(i).c_str(), probabilities[i]);
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("model", request->model, "model directory")->required();
  app.add_option("sentences", request->sentences, "one sentence, or the two of a pair; a question and a passage")->required()->expected(1, 2);
  app.add_flag("--json", request->json, "one JSON object: label, logits, probabilities, token ids; answer, n best, windows");
  AddDeployment(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry predict_command() { return {"predict", "Label (or number) of a sentence or a pair of sentences; answer to a question", Add}; }

}  // namespace thimble::tools
