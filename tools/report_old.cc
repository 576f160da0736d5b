#include "tools/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/closing.h"
#include "search/evaluators/measured_latency.h"
#include "search/evaluators/workbench.h"

namespace thimble::tools {
namespace fs = std::filesystem;
using search::StageResult;
using search::StoredTrial;
using search::TrialState;

namespace {

std::optional<models::Pretrained> TeacherOf(const proto::Study& study) {
  if (!fs::exists(study.teacher().model() + "/config.json")) return std::nullopt;
  return models::LoadPretrained(study.teacher().model());
}

// The directory's last component.
std::string TitleOf(const StudyFile& file) {
  const std::string name =
      fs::absolute(file.directory + "/.").lexically_normal().parent_path().filename().string();
  return name.empty() ? "study" : name;
}

bool IsControl(const StoredTrial& trial) { return search::IsControl(trial.trial.origin); }

std::string StateName(const StoredTrial& trial) {
  switch (trial.trial.state) {
    case TrialState::kComplete:
      return trial.runs == 1 ? "complete" : "complete, mean of " + std::to_string(trial.runs);
    case TrialState::kPruned:
      return "thinned";
    case TrialState::kFail:
      return "failed";
    case TrialState::kLeft:
      return "left after " + std::to_string(trial.left_after) + (trial.left_after == 1 ? " epoch" : " epochs");
  }
  return "";
}

// Parameters of a layer's blocks in another size.
int64_t OfBlocks(const models::Shape& shape, int width, int stacks) {
  models::LayerShape layer = shape.layers[0];
  layer.width = width;
  layer.stacks = stacks;
  return models::FeedForwardParameters(shape, layer);
}

// "2x1/3", "1x384 wide", "none".
std::string Blocks(const proto::FeedForward& ffn, const std::string& times) {
  if (ffn.has_none()) return "none";
  return std::to_string(ffn.stacks()) + times + (ffn.width() > 0 ? std::to_string(ffn.width()) + " wide" : ffn.ratio());
}

std::string Layers(const proto::Architecture& architecture) {
  std::string text = std::to_string(architecture.hidden()) + " wide:";
  for (const auto& layer : architecture.layer()) {
    const auto& attention = layer.mixer().self_attention();
    const int heads = layer.mixer().has_none() ? 0 : attention.heads() > 0 ? attention.heads() : architecture.heads();
    // One block of a width of its own: heads + neurons.
    const bool cut = (layer.ffn().has_none() || (layer.ffn().width() > 0 && layer.ffn().stacks() == 1)) &&
                     (layer.mixer().has_none() || layer.mixer().has_self_attention());
    text += cut ? " " + std::to_string(heads) + "+" + std::to_string(layer.ffn().width())
                : "  " + BesidesBerts(layer.mixer()) + Blocks(layer.ffn(), "x");
  }
  return text;
}

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

// Score against parameters; error bars of one standard error, the Pareto front in red.
std::string Scatter(const StageResult& stage) {
  const auto [index, points] = Measure(stage, {}, 0);
  if (points.empty()) return "";
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  for (size_t i = 0; i < points.size(); ++i) {
    const double se = stage.trials[index[i]].trial.standard_error;
    x0 = std::min(x0, points[i][1]), x1 = std::max(x1, points[i][1]);
    y0 = std::min(y0, -points[i][0] - se), y1 = std::max(y1, -points[i][0] + se);
  }
  const double dx = std::max(x1 - x0, 1.0), dy = std::max(y1 - y0, 1e-9);
  const auto x = [&](double v) { return 70 + 560 * (v - x0) / dx; };
  const auto y = [&](double v) { return 270 - 240 * (v - y0) / dy; };
  const auto front = search::ParetoFront(points);
  std::string svg = "<svg viewBox=\"0 0 680 320\" width=\"680\" height=\"320\" role=\"img\" aria-label=\"score against parameters\">"
                    "<rect x=\"60\" y=\"20\" width=\"580\" height=\"260\" fill=\"none\" stroke=\"#999\"/>";
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& trial = stage.trials[index[i]];
    const bool best = std::find(front.begin(), front.end(), static_cast<int>(i)) != front.end();
    const std::string colour = best ? "#c22" : "#468";
    const std::string px = Decimal(x(points[i][1]), 1);
    svg += "<line x1=\"" + px + "\" x2=\"" + px + "\" y1=\"" + Decimal(y(trial.trial.value - trial.trial.standard_error), 1) +
           "\" y2=\"" + Decimal(y(trial.trial.value + trial.trial.standard_error), 1) + "\" stroke=\"" + colour +
           "\" stroke-opacity=\"0.4\"/><circle cx=\"" + px + "\" cy=\"" + Decimal(y(trial.trial.value), 1) +
           "\" r=\"4\" fill=\"" + colour + "\"><title>" + std::to_string(trial.number) + ": " +
           Decimal(trial.trial.value, 4) + ", " + Millions(trial.deployed_parameters) + "</title></circle>";
  }
  svg += "<text x=\"60\" y=\"300\" font-size=\"12\">" + Millions(static_cast<int64_t>(x0)) + "</text><text x=\"640\" y=\"300\" "
         "font-size=\"12\" text-anchor=\"end\">" + Millions(static_cast<int64_t>(x1)) + " parameters</text>"
         "<text x=\"4\" y=\"30\" font-size=\"12\">" + Decimal(y1, 3) + "</text><text x=\"4\" y=\"280\" font-size=\"12\">" +
         Decimal(y0, 3) + "</text></svg>";
  return svg;
}

}  // namespace

search::SpaceContext ContextOf(const proto::Study& study, const std::string& directory) {
  const auto teacher = TeacherOf(study);
  const int hidden = teacher ? teacher->model.shape.hidden : study.teacher().hidden();
  if (hidden == 0)
    throw BadRequest("teacher.model", "there is no model here and teacher.hidden does not say its width",
                     study.teacher().model(), "a Hugging Face directory, or teacher { hidden: 768 }");
  const auto& task = data::FindTask(study.data().task(), study.data().directory());
  search::SpaceContext context{
      .classes = static_cast<int>(task.labels.size()), .teacher_hidden = hidden, .head = train::HeadOf(task.kind)};
  bool measured = !directory.empty();
  for (const auto* limits : {&study.constraint(), &study.target()})
    for (const auto& limit : *limits)
      measured = measured && (!limit.has_latency() || fs::exists(search::LatencyFile(directory + "/work", limit.latency())));
  context.latency = search::MeasuredLatency(models::LastStates(context.head), study.space(), measured ? directory + "/work" : "");
  if (teacher) context.teacher = teacher->model.architecture;
  return context;
}

int TeacherLayers(const proto::Study& study) {
  const auto teacher = TeacherOf(study);
  return teacher ? static_cast<int>(teacher->model.shape.layers.size()) : study.teacher().layers();
}

void UseStoredChoices(const StudyFile& file, search::Store* store, search::Workbench* bench) {
  const int stage = store->OpenStage(file.study.stage(0).name());
  search::Choices choices;
  const auto precision = store->Fact(stage, "precision");
  const auto members = store->Fact(stage, "members_threads");
  const auto threads = store->Fact(stage, "threads");  // written last
  if (precision && members && threads) {
    choices = {.bfloat16 = *precision == "bfloat16", .members_threads = std::stoi(*members), .threads = std::stoi(*threads)};
  } else {
    choices = bench->Measure();
    store->SetFact(stage, "precision", choices.bfloat16 ? "bfloat16" : "float32");
    store->SetFact(stage, "members_threads", std::to_string(choices.members_threads));
    store->SetFact(stage, "threads", std::to_string(choices.threads));
  }
  bench->Use(choices);
}

std::string Grouped(double count) {
  std::string digits = Decimal(count, 0);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(digits.begin() + at, ',');
  return digits;
}

std::string BesidesBerts(const proto::Mixer& mixer) {
  if (models::IsBerts(mixer)) return "";
  if (mixer.has_self_attention()) return std::to_string(mixer.self_attention().heads()) + " heads; ";
  return models::TextOf(mixer) + "; ";
}

std::vector<std::vector<std::string>> FeedForwardChoices(const proto::Space& space, const models::Shape& largest) {
  std::vector<std::vector<std::string>> rows;
  const auto ffn = search::LayerChoices(space, 0).ffn();
  for (const int stacks : ffn.stacks())
    for (const auto& ratio : ffn.ratio())
      rows.push_back({"ffn, " + std::to_string(stacks) + " x " + ratio,
                      Millions(OfBlocks(largest, models::RatioWidth(ratio, largest.ffn_hidden), stacks))});
  // Of many widths the ends say enough.
  const auto widths = std::minmax_element(ffn.width().begin(), ffn.width().end());
  for (const int stacks : ffn.stacks())
    if (!ffn.width().empty())
      rows.push_back({"ffn, " + std::to_string(stacks) + " x " + std::to_string(*widths.first) + " to " + std::to_string(*widths.second) + " wide",
                      Millions(*widths.first == 0 ? 0 : OfBlocks(largest, *widths.first, stacks)) + " to " + Millions(OfBlocks(largest, *widths.second, stacks))});
  return rows;
}

std::string TrialText(const std::vector<StageResult>& results) {
  std::string text;
  for (const auto& stage : results) {
    std::vector<std::vector<std::string>> table = {{"trial", "state", "origin", "parameters", "untrained", "score", "+-", "layers"}};
    for (const auto& trial : stage.trials) {
      table.push_back({stage.name + "/" + std::to_string(trial.number), StateName(trial),
                       trial.trial.origin, Millions(trial.deployed_parameters),
                       std::isnan(trial.filter_score) ? "" : Decimal(trial.filter_score, 3),
                       trial.trial.scored() ? Decimal(trial.trial.value, 4) : "",
                       trial.trial.scored() ? Decimal(trial.trial.standard_error, 4) : "", Layers(trial.trial.architecture)});
    }
    text += Table(table) + "\n";
  }
  return text;
}

namespace {

// The last stage that trained controls; nullptr: none has.
const StageResult* Controlled(const std::vector<StageResult>& results) {
  for (auto stage = results.rbegin(); stage != results.rend(); ++stage)
    if (search::BestTrial(*stage, IsControl) != nullptr) return &*stage;
  return nullptr;
}

// "accuracy 0.861, f1 0.902" on the held-out rows; scores are not always metrics.
std::string Metrics(const StoredTrial& trial) {
  std::string text;
  if (trial.metrics.empty()) return text;
  const auto metrics = nlohmann::json::parse(trial.metrics);
  for (const auto& [name, value] : metrics.items())
    if (name.rfind("loss", 0) != 0 && value.is_number())
      text += (text.empty() ? "" : ", ") + name + " " + Decimal(value.get<double>(), 3);
  return text;
}

// One sentence: whether the search was worth it.
std::string Verdict(const std::vector<StageResult>& results) {
  const StageResult* stage = Controlled(results);
  if (stage == nullptr) return "";
  const StoredTrial* found = search::BestTrial(*stage, [](const StoredTrial& trial) { return !IsControl(trial); });
  if (found == nullptr) return "";
  std::string text;
  for (const char* kind : {search::kUniform, search::kRandom, search::kReady}) {
    const StoredTrial* control = search::BestTrial(*stage, [&](const StoredTrial& trial) { return trial.trial.origin == kind; });
    if (control == nullptr) continue;
    const auto [more, error] = search::LeadOf(*found, *control);
    const double errors = error > 0 ? more / error : 0;
    text += text.empty() ? "" : "; it ";
    text += (errors >= 2 ? "beats" : errors <= -2 ? "loses to" : "cannot be told from") + std::string(" the ") + kind + (kind == search::kReady ? " " : " student ") +
            std::to_string(control->number) + ": score " + (more < 0 ? "" : "+") + Decimal(more, 4) + " +- " + Decimal(error, 4) + ", " +
            Decimal(errors, 1) + " standard errors";
    if (const std::string metrics = Metrics(*control); !metrics.empty()) text += " (" + metrics + ")";
  }
  const std::string metrics = Metrics(*found);
  return "verdict: found student " + stage->name + "/" + std::to_string(found->number) +
         (found->trial.origin.empty() ? " " : " (" + found->trial.origin + ") ") + text +
         (metrics.empty() ? "" : "; its own: " + metrics + ", all on the held-out rows") + "\n";
}

// "mean score by origin: drawn 0.6123 (80), learned 0.6571 (120)": whether what a strategy proposes is better than what it draws.
std::string ByOrigin(const StageResult& stage) {
  std::map<std::string, std::vector<double>> scores;
  for (const auto& trial : stage.trials)
    if (trial.trial.state == TrialState::kComplete && !trial.trial.origin.empty() && !IsControl(trial))
      scores[trial.trial.origin].push_back(trial.trial.value);
  if (scores.size() < 2) return "";
  std::string text;
  for (const auto& [origin, values] : scores)
    text += (text.empty() ? "" : ", ") + origin + " " +
            Decimal(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()), 4) + " (" +
            std::to_string(values.size()) + ")";
  return "  mean score by origin: " + text + "\n";
}

std::string StageText(const StageResult& stage) {
  if (stage.best < 0) return "stage " + stage.name + ": nothing complete yet\n";
  const auto& best = stage.trials[stage.best];
  int complete = 0, close = 0;
  for (const auto& trial : stage.trials) {
    if (trial.trial.state != TrialState::kComplete) continue;
    ++complete;
    // Where rows are not known, the two are taken as independent: a wide bound.
    const auto [more, error] = search::LeadOf(best, trial);
    if (trial.number != best.number && more < 2 * error) ++close;
  }
  return "stage " + stage.name + ": best trial " + std::to_string(best.number) + ", score " + Decimal(best.trial.value, 4) + " +- " +
         Decimal(best.trial.standard_error, 4) + ", " + Millions(best.deployed_parameters) + " parameters; " +
         std::to_string(complete) + " scored, " + std::to_string(close) + " of them within two standard errors of it\n" + ByOrigin(stage) +
         (stage.explanation.empty() ? "" : "  proposed by " + stage.explanation + "\n");
}

}  // namespace

std::string ResultText(const std::vector<StageResult>& results, const Front& front) {
  std::string text;
  const auto groups = search::ByTarget(results);
  for (size_t target = 0; target < groups.size(); ++target) {
    const auto& group = groups[target];
    if (!group[0].target.empty()) text += "target " + group[0].target + ":\n";
    for (const auto& stage : group) text += StageText(stage);
    const auto& last = group.back();
    if (last.best < 0) continue;
    text += Verdict(group);
    text += "layers of the found student:\n";
    for (const auto& layer : last.trials[last.best].trial.architecture.layer())
      text += "  " + BesidesBerts(layer.mixer()) + Blocks(layer.ffn(), " x ") + "  " + layer.ffn().expression() + "\n";
    text += FrontText(last, front, target);
  }
  return text;
}

std::string ReportHtml(const StudyFile& file, const std::vector<StageResult>& results, const Front& front) {
  std::string html = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
                     Escaped(TitleOf(file)) +
                     "</title><style>body{font:15px sans-serif;max-width:70em;margin:2em auto;padding:0 "
                     "1em}table{border-collapse:collapse}"
                     "td,th{padding:2px 8px;border-bottom:1px solid "
                     "#ddd;text-align:right}td.l,th.l{text-align:left}pre{background:#f6f6f6;"
                     "padding:1em;overflow:auto}code{font-size:12px}</style></head><body><h1>" +
                     Escaped(TitleOf(file)) + "</h1><pre>" + Escaped(ResultText(results, front)) + "</pre>";
  for (const auto& stage : results) {
    html += "<h2>" + Escaped(stage.name) + "</h2><p>Score (higher is better) against deployed parameters; bars: one standard "
            "error; red: Pareto front.</p>" + Scatter(stage);
    html += "<table><tr><th>trial</th><th class=\"l\">state</th><th>parameters</th><th>untrained</th><th>score</th>"
            "<th>+-</th><th class=\"l\">layers</th></tr>";
    for (const auto& trial : stage.trials) {
      const bool scored = trial.trial.scored();
      html += "<tr><td>" + std::to_string(trial.number) + "</td><td class=\"l\">" + StateName(trial) +
              (trial.reason.empty() ? "" : ": " + Escaped(trial.reason)) + "</td><td>" + Millions(trial.deployed_parameters) +
              "</td><td>" + (std::isnan(trial.filter_score) ? "" : Decimal(trial.filter_score, 3)) + "</td><td>" +
              (scored ? Decimal(trial.trial.value, 4) : "") + "</td><td>" +
              (scored ? Decimal(trial.trial.standard_error, 4) : "") + "</td><td class=\"l\"><code>";
      for (const auto& layer : trial.trial.architecture.layer())
        html += Escaped(BesidesBerts(layer.mixer())) + Blocks(layer.ffn(), "x") + " " + Escaped(layer.ffn().expression()) + "<br>";
      html += "</code></td></tr>";
    }
    html += "</table>";
  }
  return html + "</body></html>\n";
}

}  // namespace thimble::tools
