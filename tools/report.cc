#include "tools/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/evaluators/workbench.h"
#include "search/pareto.h"

namespace thimble::tools {
namespace fs = std::filesystem;
using search::StageResult;
using search::StoredTrial;
using search::TrialState;

namespace {

struct TeacherFacts {
  int hidden = 0, layers = 0;
};

TeacherFacts FactsOf(const proto::Study& study) {
  if (fs::exists(study.teacher().model() + "/config.json")) {
    const auto loaded = models::LoadPretrained(study.teacher().model());
    return {loaded.model.shape.hidden, static_cast<int>(loaded.model.shape.layers.size())};
  }
  return {study.teacher().hidden(), study.teacher().layers()};
}

// The directory's last component.
std::string TitleOf(const StudyFile& file) {
  const std::string name =
      fs::absolute(file.directory + "/.").lexically_normal().parent_path().filename().string();
  return name.empty() ? "study" : name;
}

std::string StateName(TrialState state) {
  return state == TrialState::kComplete ? "complete" : state == TrialState::kPruned ? "thinned" : "failed";
}

// Layers in short: stacks, ratio, expression.
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
  std::string text;
  for (const auto& layer : architecture.layer())
    text += (text.empty() ? "" : "  ") + BesidesBerts(layer.mixer()) + Blocks(layer.ffn(), "x");
  return text;
}

std::vector<search::Point> Points(const StageResult& stage, std::vector<int>* index) {
  std::vector<search::Point> points;
  for (size_t i = 0; i < stage.trials.size(); ++i) {
    if (stage.trials[i].trial.state != TrialState::kComplete) continue;
    points.push_back({stage.trials[i].trial.value, static_cast<double>(stage.trials[i].deployed_parameters)});
    index->push_back(static_cast<int>(i));
  }
  return points;
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
  std::vector<int> index;
  const auto points = Points(stage, &index);
  if (points.empty()) return "";
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  for (size_t i = 0; i < points.size(); ++i) {
    const double se = stage.trials[index[i]].trial.standard_error;
    x0 = std::min(x0, points[i].cost), x1 = std::max(x1, points[i].cost);
    y0 = std::min(y0, points[i].quality - se), y1 = std::max(y1, points[i].quality + se);
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
    const std::string px = Decimal(x(points[i].cost), 1);
    svg += "<line x1=\"" + px + "\" x2=\"" + px + "\" y1=\"" + Decimal(y(points[i].quality - trial.trial.standard_error), 1) +
           "\" y2=\"" + Decimal(y(points[i].quality + trial.trial.standard_error), 1) + "\" stroke=\"" + colour +
           "\" stroke-opacity=\"0.4\"/><circle cx=\"" + px + "\" cy=\"" + Decimal(y(points[i].quality), 1) +
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

search::SpaceContext ContextOf(const proto::Study& study) {
  const int hidden = FactsOf(study).hidden;
  if (hidden == 0)
    throw BadRequest("teacher.model", "there is no model here and teacher.hidden does not say its width",
                     study.teacher().model(), "a Hugging Face directory, or teacher { hidden: 768 }");
  const auto& task = data::FindTask(study.data().task(), study.data().directory());
  return {.classes = static_cast<int>(task.labels.size()), .teacher_hidden = hidden, .head = train::HeadOf(task.kind)};
}

int TeacherLayers(const proto::Study& study) { return FactsOf(study).layers; }

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
  return models::IsBerts(mixer) ? "" : models::TextOf(mixer) + "; ";
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
    std::vector<std::vector<std::string>> table = {{"trial", "state", "parameters", "untrained", "score", "+-", "layers"}};
    for (const auto& trial : stage.trials) {
      const bool complete = trial.trial.state == TrialState::kComplete;
      table.push_back({stage.name + "/" + std::to_string(trial.number), StateName(trial.trial.state),
                       Millions(trial.deployed_parameters),
                       std::isnan(trial.filter_score) ? "" : Decimal(trial.filter_score, 3),
                       complete ? Decimal(trial.trial.value, 4) : "",
                       complete ? Decimal(trial.trial.standard_error, 4) : "", Layers(trial.trial.architecture)});
    }
    text += Table(table) + "\n";
  }
  return text;
}

std::string ResultText(const std::vector<StageResult>& results) {
  std::string text;
  for (const auto& stage : results) {
    if (stage.best < 0) {
      text += "stage " + stage.name + ": nothing complete yet\n";
      continue;
    }
    const auto& best = stage.trials[stage.best];
    int complete = 0, close = 0;
    for (const auto& trial : stage.trials) {
      if (trial.trial.state != TrialState::kComplete) continue;
      ++complete;
      // Two scores of the same rows: within two standard errors of the difference, taken as independent (a wide bound).
      const double se = std::hypot(best.trial.standard_error, trial.trial.standard_error);
      if (trial.number != best.number && best.trial.value - trial.trial.value < 2 * se) ++close;
    }
    text += "stage " + stage.name + ": best trial " + std::to_string(best.number) + ", score " +
            Decimal(best.trial.value, 4) + " +- " + Decimal(best.trial.standard_error, 4) + ", " +
            Millions(best.deployed_parameters) + " parameters; " + std::to_string(complete) + " scored, " +
            std::to_string(close) + " of them within two standard errors of it\n";
  }
  if (results.empty() || results.back().best < 0) return text;
  const auto& last = results.back();
  text += "layers of the found student:\n";
  for (const auto& layer : last.trials[last.best].trial.architecture.layer())
    text += "  " + BesidesBerts(layer.mixer()) + Blocks(layer.ffn(), " x ") + "  " +
            layer.ffn().expression() + "\n";
  std::vector<int> index;
  const auto points = Points(last, &index);
  text += "Pareto front of stage " + last.name + " (parameters, score):";
  for (const int i : search::ParetoFront(points))
    text += "  " + std::to_string(last.trials[index[i]].number) + ": " + Millions(static_cast<int64_t>(points[i].cost)) + " " +
            Decimal(points[i].quality, 4);
  return text + "\n";
}

std::string ReportHtml(const StudyFile& file, const std::vector<StageResult>& results) {
  std::string html = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
                     Escaped(TitleOf(file)) +
                     "</title><style>body{font:15px sans-serif;max-width:70em;margin:2em auto;padding:0 "
                     "1em}table{border-collapse:collapse}"
                     "td,th{padding:2px 8px;border-bottom:1px solid "
                     "#ddd;text-align:right}td.l,th.l{text-align:left}pre{background:#f6f6f6;"
                     "padding:1em;overflow:auto}code{font-size:12px}</style></head><body><h1>" +
                     Escaped(TitleOf(file)) + "</h1><pre>" + Escaped(ResultText(results)) + "</pre>";
  for (const auto& stage : results) {
    html += "<h2>" + Escaped(stage.name) + "</h2><p>Score (higher is better) against deployed parameters; bars: one standard "
            "error; red: Pareto front.</p>" + Scatter(stage);
    html += "<table><tr><th>trial</th><th class=\"l\">state</th><th>parameters</th><th>untrained</th><th>score</th>"
            "<th>+-</th><th class=\"l\">layers</th></tr>";
    for (const auto& trial : stage.trials) {
      const bool complete = trial.trial.state == TrialState::kComplete;
      html += "<tr><td>" + std::to_string(trial.number) + "</td><td class=\"l\">" + StateName(trial.trial.state) +
              (trial.reason.empty() ? "" : ": " + Escaped(trial.reason)) + "</td><td>" + Millions(trial.deployed_parameters) +
              "</td><td>" + (std::isnan(trial.filter_score) ? "" : Decimal(trial.filter_score, 3)) + "</td><td>" +
              (complete ? Decimal(trial.trial.value, 4) : "") + "</td><td>" +
              (complete ? Decimal(trial.trial.standard_error, 4) : "") + "</td><td class=\"l\"><code>";
      for (const auto& layer : trial.trial.architecture.layer())
        html += Escaped(BesidesBerts(layer.mixer())) + Blocks(layer.ffn(), "x") + " " + Escaped(layer.ffn().expression()) + "<br>";
      html += "</code></td></tr>";
    }
    html += "</table>";
  }
  return html + "</body></html>\n";
}

}  // namespace thimble::tools
