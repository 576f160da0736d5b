#include "data/metrics/submission.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/label_spelling.h"
#include "data/readers/table.h"
#include "data/spans.h"

namespace thimble::data {
namespace {

constexpr char kHeader[] = "index\tprediction\n";

std::string IdOf(const std::vector<Row>& rows, size_t i) {
  return rows[i].id.empty() ? std::to_string(i) : rows[i].id;
}

std::vector<Metric> ScoreAnswerFile(const TaskEntry& task, const std::vector<Row>& rows,
                                    const std::string& path) {
  const auto json = nlohmann::json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw BadRequest(path, "not a JSON object of answers by question id");
  std::vector<SpanScore> scores;
  std::vector<std::string> missing;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto found = json.find(IdOf(rows, i));
    if (found == json.end()) {
      missing.push_back(IdOf(rows, i));
      if (!task.unanswerable) scores.emplace_back();
      continue;
    }
    if (!found->is_string()) throw BadRequest(path, "the answer to " + IdOf(rows, i) + " is not a string");
    scores.push_back(ScoreRow(task, rows[i], found->get<std::string>()));
  }
  if (!missing.empty()) {
    // As the official scripts have it: that of 1.1 counts 0, that of 2.0 leaves the question out of its mean.
    const std::string what = "no answer to " + std::to_string(missing.size()) + " of " +
                             std::to_string(rows.size()) + " questions, the first of them " +
                             Quoted(missing.front());
    if (scores.empty()) throw BadRequest(path, what, "", "answers to questions of this file, by their ids");
    Warn(path + ": " + what + "; they " +
         (task.unanswerable ? "are left out of the mean, as in SQuAD 2.0's official script"
                            : "count 0, as in SQuAD 1.1's official script"));
  }
  return SpanMetrics(task.metrics, scores);
}

}  // namespace

std::string GlueSubmission(const TaskEntry& task, const std::vector<int>& predicted) {
  std::string text = kHeader;
  for (size_t i = 0; i < predicted.size(); ++i)
    text += std::to_string(i) + "\t" + task.labels.at(predicted[i]) + "\n";
  return text;
}

std::string GlueSubmission(const TaskEntry& task, const std::vector<double>& predicted) {
  std::string text = kHeader;
  for (size_t i = 0; i < predicted.size(); ++i) {
    char number[32];
    const bool clip = task.highest > task.lowest;
    std::snprintf(number, sizeof(number), "%.3f",
                  clip ? std::clamp(predicted[i], task.lowest, task.highest) : predicted[i]);
    text += std::to_string(i) + "\t" + number + "\n";
  }
  return text;
}

std::string SquadSubmission(const std::vector<Row>& rows, const std::vector<std::string>& answers) {
  THIMBLE_CHECK(rows.size() == answers.size(), std::to_string(answers.size()));
  nlohmann::json json = nlohmann::json::object();
  for (size_t i = 0; i < rows.size(); ++i) json[IdOf(rows, i)] = answers[i];
  return json.dump() + "\n";
}

std::string NullOddsFile(const std::vector<Row>& rows, const std::vector<double>& odds) {
  THIMBLE_CHECK(rows.size() == odds.size(), std::to_string(odds.size()));
  nlohmann::json json = nlohmann::json::object();
  for (size_t i = 0; i < rows.size(); ++i) json[IdOf(rows, i)] = odds[i];
  return json.dump() + "\n";
}

std::vector<Metric> ScorePredictions(const TaskEntry& task, const std::vector<Row>& rows,
                                     const std::string& path) {
  if (task.kind == TaskKind::kSpan) return ScoreAnswerFile(task, rows, path);
  std::vector<int> classes, gold_classes;
  std::vector<double> numbers, gold_numbers;
  ReadTable(
      path, {.format = FileFormat::kTsv, .columns = {"index", "prediction"}},
      [&](const std::string& where, std::vector<std::string_view>& cells) {
        const size_t row = std::max(classes.size(), numbers.size());
        if (cells[0] != std::to_string(row))
          throw BadRequest(where, "index out of order", Quoted(cells[0]), std::to_string(row));
        if (task.kind == TaskKind::kRegression) {
          double value = 0;
          const auto [end, error] =
              std::from_chars(cells[1].data(), cells[1].data() + cells[1].size(), value);
          if (error != std::errc() || end != cells[1].data() + cells[1].size() || !std::isfinite(value))
            throw BadRequest(where, "not a number", Quoted(cells[1]));
          numbers.push_back(value);
        } else {
          const int label = FindLabel(task.labels, cells[1]);
          if (label < 0) throw BadRequest(where, "unknown label", Quoted(cells[1]), Joined(task.labels));
          classes.push_back(label);
        }
        return true;
      },
      [](const std::string& message) { throw Error(message); });
  const size_t count = std::max(classes.size(), numbers.size());
  if (count != rows.size())
    throw BadRequest(path, "wrong number of predictions", std::to_string(count), std::to_string(rows.size()));
  for (const Row& row : rows) {
    gold_classes.push_back(row.label);
    gold_numbers.push_back(row.score);
  }
  return task.kind == TaskKind::kRegression ? ComputeMetrics(task.metrics, numbers, gold_numbers)
                                            : ComputeMetrics(task.metrics, classes, gold_classes);
}

}  // namespace thimble::data
