#include "data/check.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "base/number_text.h"
#include "base/parallel.h"

namespace thimble::data {
namespace {

uint64_t TextHash(const Row& row) { return Hash64(row.second, Hash64(row.first)); }

size_t Words(const std::string& text) {
  size_t words = 0;
  bool space = true;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    words += space && !is_space;
    space = is_space;
  }
  return words;
}

FileReport CheckFile(const TaskEntry& task, const std::string& path, bool labelled,
                     const WordPiece* tokenizer, int max_length, int threads,
                     std::unordered_set<uint64_t>* texts) {
  FileReport report{.path = path, .labelled = labelled};
  const auto rows = ReadRows(task, path, ReadOptions{.labelled = labelled, .problems = &report.problems});
  report.rows = rows.size();
  if (labelled && task.kind == TaskKind::kClassification) report.label_counts.resize(task.labels.size());
  std::unordered_map<uint64_t, const Row*> seen;
  double sum = 0;
  for (const Row& row : rows) {
    report.empty += row.first.empty() || (task.pair && row.second.empty());
    const uint64_t hash = TextHash(row);
    texts->insert(hash);
    if (const auto [place, fresh] = seen.emplace(hash, &row); !fresh) {
      ++report.repeated;
      const bool same = row.label == place->second->label &&
                        (task.kind != TaskKind::kRegression || row.score == place->second->score);
      report.contradictory += labelled && !same;
    }
    if (!labelled) continue;
    if (task.kind == TaskKind::kClassification) ++report.label_counts[row.label];
    if (task.kind == TaskKind::kSpan) report.answered += !row.answers.empty();
    if (task.kind == TaskKind::kRegression) {
      report.lowest = &row == &rows[0] ? row.score : std::min(report.lowest, row.score);
      report.highest = &row == &rows[0] ? row.score : std::max(report.highest, row.score);
      sum += row.score;
    }
  }
  if (!rows.empty()) report.mean = sum / static_cast<double>(rows.size());
  std::vector<size_t> lengths(rows.size());
  ParallelFor(rows.size(), threads, [&](size_t i) {
    lengths[i] = tokenizer == nullptr ? Words(rows[i].first) + Words(rows[i].second)
                                      : tokenizer->Pieces(rows[i].first).size() +
                                            tokenizer->Pieces(rows[i].second).size() + (task.pair ? 3 : 2);
  });
  for (const size_t length : lengths) {
    ++report.lengths[length];
    report.truncated += tokenizer != nullptr && length > static_cast<size_t>(max_length);
  }
  return report;
}

std::string Share(size_t part, size_t all) {
  char text[64];
  std::snprintf(text, sizeof(text), "%zu (%.1f%%)", part,
                all == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(all));
  return text;
}

size_t Percentile(const std::map<size_t, size_t>& lengths, size_t rows, double share) {
  size_t below = 0;
  for (const auto& [length, count] : lengths) {
    below += count;
    if (static_cast<double>(below) >= share * static_cast<double>(rows)) return length;
  }
  return 0;
}

// Bars of rows by length, up to 512 in doubling steps.
std::string Histogram(const FileReport& report) {
  constexpr std::array<size_t, 8> kUpTo = {8, 16, 32, 64, 128, 256, 512, SIZE_MAX};
  std::array<size_t, kUpTo.size()> counts{};
  for (const auto& [length, count] : report.lengths)
    counts[std::lower_bound(kUpTo.begin(), kUpTo.end(), length) - kUpTo.begin()] += count;
  const size_t most = *std::max_element(counts.begin(), counts.end());
  std::string text;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::string name = kUpTo[i] == SIZE_MAX ? "  over 512" : "up to " + std::to_string(kUpTo[i]);
    text += "    " + std::string(10 - std::min<size_t>(10, name.size()), ' ') + name + "  " +
            std::string(1 + 39 * counts[i] / most, '#') + " " + std::to_string(counts[i]) + "\n";
  }
  return text;
}

}  // namespace

bool CheckReport::Clean() const {
  return std::all_of(files.begin(), files.end(),
                     [](const FileReport& file) { return file.problems.empty() && file.rows > 0; });
}

CheckReport CheckData(const TaskEntry& task, const std::string& data_directory, const WordPiece* tokenizer,
                      int max_length, int threads) {
  CheckReport report{.tokens = tokenizer != nullptr};
  std::unordered_set<uint64_t> train, texts;
  struct Split {
    const std::string* name;
    bool labelled;
  };
  for (const auto& [name, labelled] : {Split{&task.train, true}, {&task.dev, true}, {&task.test, false}}) {
    if (name->empty()) continue;
    const std::string path = SplitPath(task, data_directory, *name);
    if (!std::filesystem::exists(path)) {
      report.absent.push_back(path);
      continue;
    }
    auto& into = name == &task.train ? train : texts;
    into.clear();
    report.files.push_back(CheckFile(task, path, labelled, tokenizer, max_length, threads, &into));
    if (name != &task.dev) continue;
    for (const uint64_t text : texts) report.train_in_dev += train.count(text);
  }
  if (report.files.empty()) {
    std::string names;
    for (const auto& path : report.absent) names += (names.empty() ? "" : ", ") + path;
    throw BadRequest(data_directory, "no file of task " + task.name, "", names);
  }
  return report;
}

std::string CheckText(const TaskEntry& task, const CheckReport& report, int max_length) {
  std::string text;
  for (const FileReport& file : report.files) {
    text += file.path + "\n  rows " + std::to_string(file.rows) + (task.pair ? ", pairs" : ", single texts") +
            (file.labelled ? "" : ", without labels") + "\n";
    if (file.labelled && task.kind == TaskKind::kClassification) {
      for (size_t c = 0; c < task.labels.size(); ++c)
        text += "  label " + task.labels[c] + ": " + Share(file.label_counts[c], file.rows) + "\n";
    }
    if (file.labelled && task.kind == TaskKind::kRegression)
      text += "  score " + FourDigits(file.lowest) + " to " + FourDigits(file.highest) + ", mean " +
              FourDigits(file.mean) + "\n";
    if (file.labelled && task.kind == TaskKind::kSpan)
      text += "  with an answer: " + Share(file.answered, file.rows) + "\n";
    if (file.empty > 0) text += "  with an empty text: " + Share(file.empty, file.rows) + "\n";
    if (file.repeated > 0)
      text += "  repeating an earlier row's texts: " + Share(file.repeated, file.rows) +
              ", with another label: " + std::to_string(file.contradictory) + "\n";
    text += std::string("  length in ") + (report.tokens ? "tokens" : "words") + ": median " +
            std::to_string(Percentile(file.lengths, file.rows, 0.5)) + ", 95% up to " +
            std::to_string(Percentile(file.lengths, file.rows, 0.95)) + ", longest " +
            std::to_string(file.lengths.empty() ? 0 : file.lengths.rbegin()->first) + "\n" + Histogram(file);
    if (report.tokens)
      text += "  longer than " + std::to_string(max_length) +
              (task.kind == TaskKind::kSpan ? ", read in windows: " : ", cut: ") +
              Share(file.truncated, file.rows) + "\n";
    if (!file.problems.empty()) {
      constexpr size_t kShown = 20;
      text += "  bad rows: " + std::to_string(file.problems.size()) + "\n";
      for (size_t i = 0; i < std::min(kShown, file.problems.size()); ++i)
        text += "    " + file.problems[i] + "\n";
      if (file.problems.size() > kShown) text += "    ...\n";
    }
  }
  for (const auto& path : report.absent) text += path + "\n  is not there\n";
  if (report.files.size() > 1 && !task.train.empty() && !task.dev.empty())
    text += "dev rows whose texts are in the training file: " + std::to_string(report.train_in_dev) + "\n";
  return text;
}

}  // namespace thimble::data
