// The document in words (DocumentText, DocumentCsv).
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "search/strategy.h"
#include "tools/quantities.h"
#include "tools/report/digits.h"
#include "tools/report/plot.h"
#include "tools/report/text.h"
#include "tools/table.h"

namespace thimble::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string Text(const Json& json, const std::string& key) {
  return json.contains(key) && json[key].is_string() ? json[key] : "";
}
double Number(const Json& json, const std::string& key) {
  return json.contains(key) && json[key].is_number() ? json[key].get<double>() : NAN;
}

const Json* StageNamed(const Json& document, const std::string& name) {
  for (const auto& stage : document["stages"])
    if (stage["name"] == name) return &stage;
  return nullptr;
}

const Json* Trial(const Json& stage, int number) {
  for (const auto& trial : stage["trials"])
    if (trial["number"] == number) return &trial;
  return nullptr;
}

bool IsComplete(const Json& trial) {
  return trial["state"] == "complete" && std::isfinite(Number(trial, "score"));
}

int DigitsOf(const Json& trials) {
  std::vector<double> values, errors;
  for (const auto& trial : trials)
    if (IsComplete(trial)) {
      values.push_back(Number(trial, "score"));
      if (const double error = Number(trial, "standard_error"); error > 0) errors.push_back(error);
    }
  if (errors.empty()) return DigitsFor(values, {});
  const auto middle = errors.begin() + static_cast<int64_t>(errors.size() / 2);
  std::nth_element(errors.begin(), middle, errors.end());
  return DigitsFor(values, {*middle});
}

std::string Count(double count) { return Millions(std::llround(count)); }

std::string TeacherText(const Json& teacher) {
  std::string facts;
  const auto add = [&](const std::string& fact) { facts += (facts.empty() ? "" : ", ") + fact; };
  if (const double value = Number(teacher, "parameters"); std::isfinite(value))
    add(Count(value) + " parameters");
  if (const double value = Number(teacher, "multiply_adds"); std::isfinite(value))
    add(Count(value) + " multiply-adds of 128 tokens");
  if (const double value = Number(teacher, "latency_ms"); std::isfinite(value))
    add(Decimal(value, 2) + " ms");
  if (teacher.contains("metrics") && teacher["metrics"].is_object())
    for (const auto& [name, metric] : teacher["metrics"].items())
      add(name + " " + Decimal(Number(metric, "value"), 3) + " on the held-out rows");
  return "teacher " + Text(teacher, "model") + (facts.empty() ? "" : ": " + facts) + "\n";
}

char MarkOf(const Json& trial, const std::set<int>& front) {
  const std::string origin = Text(trial, "origin");
  if (origin == search::kUniform) return 'u';
  if (origin == search::kRandom) return 'r';
  if (origin == search::kReady) return 'R';
  return front.count(trial["number"].get<int>()) > 0 ? '#' : 'o';
}

// The score against the front's next goal.
std::string FrontPlot(const Json& document, const Json& result) {
  const Json* stage = StageNamed(document, Text(result, "stage"));
  if (stage == nullptr || !result.contains("front")) return "";
  std::string goal = "parameters";
  for (const auto& each : result["front"]["goals"])
    if (each != "score") {
      goal = each == "latency" ? "latency_ms" : each.get<std::string>();
      break;
    }
  const auto front = result["front"]["trials"].get<std::set<int>>();
  std::vector<PlotPoint> points;
  // The teacher is far to the right of most, and of its own score.
  const Json& teacher = document["teacher"];
  points.push_back({Number(teacher, goal), Number(teacher, "score"), 'T'});
  for (const bool last : {false, true})
    for (const auto& trial : (*stage)["trials"])
      if (const char mark = MarkOf(trial, front); IsComplete(trial) && (mark != 'o') == last)
        points.push_back({Number(trial, goal), Number(trial, "score"), mark});
  const std::string plot =
      Plot(points, {.digits = DigitsOf((*stage)["trials"]),
                    .x = goal,
                    .y = "score of stage " + Text(result, "stage"),
                    .legend = "# front  o other  u uniform  r random  R ready checkpoint  T teacher"});
  return plot.empty() ? "" : plot + "\n";
}

// "course of stage joint: -0.3 (0), -0.2 (5)": each time that there was a better one.
std::string CourseText(const Json& stage) {
  const int digits = DigitsOf(stage["trials"]);
  std::vector<std::string> steps;
  double best = -INFINITY;
  for (const auto& trial : stage["trials"])
    if (IsComplete(trial) && Text(trial, "origin") != search::kReady && Number(trial, "score") > best) {
      best = Number(trial, "score");
      steps.push_back(Decimal(best, digits) + " (" + std::to_string(trial["number"].get<int>()) + ")");
    }
  if (steps.size() < 2) return "";
  std::string text = "course of stage " + Text(stage, "name") + ", best score so far (trial): ";
  const size_t first = steps.size() > 8 ? steps.size() - 8 : 0;
  if (first > 0) text += "... ";
  for (size_t i = first; i < steps.size(); ++i) text += (i > first ? ", " : "") + steps[i];
  return text + "\n";
}

// Of the found student and the controls.
std::string CurveText(const Json& document, const Json& result) {
  if (!result.contains("compared")) return "";
  const Json* stage = StageNamed(document, Text(result["compared"], "stage"));
  if (stage == nullptr) return "";
  std::vector<int> numbers = {result["compared"]["found"]};
  if (result["compared"].contains("with"))
    for (const auto& each : result["compared"]["with"]) numbers.push_back(each["number"]);
  std::string text;
  for (const int number : numbers) {
    const Json* trial = Trial(*stage, number);
    if (trial == nullptr || !trial->contains("epochs")) continue;
    std::string losses, scores;
    for (const auto& epoch : (*trial)["epochs"]) {
      if (const double loss = Number(epoch, "loss"); std::isfinite(loss)) losses += " " + Decimal(loss, 4);
      if (const double score = Number(epoch, "score"); std::isfinite(score))
        scores += " " + Decimal(score, DigitsOf((*stage)["trials"]));
    }
    text += "  " + std::to_string(number) + " " + Text(*trial, "origin") + ": loss" + losses +
            (scores.empty() ? "" : "; score" + scores) + "\n";
  }
  return text.empty() ? "" : "after each epoch, stage " + Text(*stage, "name") + ":\n" + text;
}

std::string LayerMapText(const Json& result) {
  if (!result.contains("layer_map") || result["layer_map"].empty()) return "";
  std::vector<std::vector<std::string>> table = {{"student", "teacher", "losses"}};
  for (const auto& row : result["layer_map"])
    table.push_back({Text(row, "student"), Text(row, "teacher"), Text(row, "losses")});
  return "what it learns from:\n" + Table(table);
}

std::string CheapText(const Json& stage) {
  if (!stage.contains("cheap") || !stage["cheap"].contains("kendall_tau")) return "";
  return "score without training against score, stage " + Text(stage, "name") + ": Kendall's tau " +
         Decimal(Number(stage["cheap"], "kendall_tau"), 2) + " over " +
         std::to_string(stage["cheap"]["trials"].get<int>()) + " trials\n";
}

std::string RowsText(const Json& rows) {
  std::string text;
  for (const char* part : {"train", "holdout"}) {
    if (!rows.contains(part)) continue;
    const Json& of = rows[part];
    text += std::string(text.empty() ? "" : "; ") + (text.empty() ? "to learn from " : "held out ") +
            Decimal(Number(of, "examples"), 0);
    if (of.contains("labels")) {
      std::string labels;
      for (const auto& [name, count] : of["labels"].items())
        labels += (labels.empty() ? "" : ", ") + name + ": " + std::to_string(count.get<int64_t>());
      text += " (" + labels + ")";
    }
    if (const double cut = Number(of, "cut"); cut > 0)
      text += ", " + Decimal(cut, 0) + " of them fill the limit of " +
              Decimal(Number(rows, "max_length"), 0) + " tokens";
  }
  return text.empty() ? "" : "rows: " + text + "\n";
}

// RFC 4180.
std::string Cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + "\"";
}

std::string Value(const Json& json) {
  return json.is_string() ? json.get<std::string>() : json.is_null() ? "" : json.dump();
}

}  // namespace

std::string DocumentText(const Json& document) {
  std::string text = TeacherText(document["teacher"]);
  if (document.contains("rows")) text += RowsText(document["rows"]);
  for (const auto& stage : document["stages"]) text += CourseText(stage) + CheapText(stage);
  for (const auto& result : document["results"]) {
    const std::string target = Text(result, "target");
    text += target.empty() ? "\n" : "\ntarget " + target + ":\n";
    text += CurveText(document, result) + LayerMapText(result) + FrontPlot(document, result) +
            Text(result, "headline") + ".\n";
  }
  text += "\ncommands:\n";
  for (const auto& each : document["commands"])
    text += "  " + Text(each, "command") + "  # " + Text(each, "what") + "\n";
  return text;
}

std::string DocumentCsv(const Json& document) {
  static const std::vector<std::string> kFields = {
      "number",    "round", "state",      "origin",        "score", "standard_error", "runs",    "left_after",
      "untrained", "cheap", "parameters", "multiply_adds", "bytes", "latency_ms",     "seconds", "reason"};
  std::vector<std::string> metrics;
  for (const auto& stage : document["stages"])
    for (const auto& trial : stage["trials"])
      if (trial.contains("metrics") && trial["metrics"].is_object())
        for (const auto& [name, value] : trial["metrics"].items())
          if (std::find(metrics.begin(), metrics.end(), name) == metrics.end()) metrics.push_back(name);
  std::string text = "stage,target";
  for (const auto& field : kFields) text += "," + field;
  text += ",hidden,layers,heads,widths";
  for (const auto& metric : metrics) text += "," + Cell(metric);
  text += "\n";
  for (const auto& stage : document["stages"])
    for (const auto& trial : stage["trials"]) {
      text += Cell(Text(stage, "name")) + "," + Cell(Text(stage, "target"));
      for (const auto& field : kFields)
        text += "," + (trial.contains(field) ? Cell(Value(trial[field])) : "");
      const Json& architecture = trial["architecture"];
      std::string heads, widths;
      for (const auto& layer : architecture["layers"]) {
        const Json& kind = document["layer_kinds"][layer.get<size_t>()];
        const int blocks = kind.value("blocks", 0), width = kind.value("width", 0);
        heads += (heads.empty() ? "" : " ") + std::to_string(kind.value("heads", 0));
        widths += (widths.empty() ? "" : " ") + (blocks > 1 ? std::to_string(blocks) + "x" : "") +
                  std::to_string(width);
      }
      text += "," + Value(architecture["hidden"]) + "," + std::to_string(architecture["layers"].size()) +
              "," + heads + "," + widths;
      for (const auto& metric : metrics)
        text += "," + (trial.contains("metrics") && trial["metrics"].contains(metric)
                           ? Cell(Value(trial["metrics"][metric]))
                           : "");
      text += "\n";
    }
  return text;
}

}  // namespace thimble::tools
