// thimble predict MODEL "first sentence" ["second sentence"] [--json]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tools/common.h"

namespace thimble::tools {
namespace {

struct Request : Options {
  std::string model;
  std::vector<std::string> sentences;
  bool json = false;
};

void Run(const Request& request) {
  MakeDeployment(request);
  const auto loaded = models::LoadPretrained(request.model);
  if (loaded.model.classes == 0)
    throw BadRequest(request.model, "the model has no task head; `thimble finetune` adds one");
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
  app.add_option("sentences", request->sentences, "one sentence, or the two of a pair")->required()->expected(1, 2);
  app.add_flag("--json", request->json, "one JSON object: label, logits, probabilities, token ids");
  AddDeployment(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry predict_command() { return {"predict", "Label (or number) of a sentence or a pair of sentences", Add}; }

}  // namespace thimble::tools
