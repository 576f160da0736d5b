#include "data/readers/custom_task.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/entailment.h"
#include "data/label_spelling.h"
#include "data/metrics/metrics.h"
#include "data/readers/table.h"
#include "proto/task.pb.h"

namespace thimble::data {
namespace {

FileFormat FormatOf(const proto::Custom& custom) {
  switch (custom.format()) {
    case proto::Custom::TSV:
      return FileFormat::kTsv;
    case proto::Custom::CSV:
      return FileFormat::kCsv;
    case proto::Custom::JSON_LINES:
      return FileFormat::kJsonLines;
    case proto::Custom::BY_NAME:
      break;
  }
  const std::string ending = std::filesystem::path(custom.dev()).extension().string();
  if (ending == ".tsv") return FileFormat::kTsv;
  if (ending == ".csv") return FileFormat::kCsv;
  if (ending == ".json" || ending == ".jsonl") return FileFormat::kJsonLines;
  throw BadRequest("custom.format", "cannot be told from the file name", Quoted(custom.dev()),
                   ".tsv, .csv, .json, .jsonl, or format set to TSV, CSV or JSON_LINES");
}

// Numbers by value, before words; so "2" comes before "10".
bool LabelBefore(const std::string& a, const std::string& b) {
  double x = 0, y = 0;
  const auto number = [](std::string_view text, double* value) {
    text = Trimmed(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size();
  };
  const bool a_number = number(a, &x), b_number = number(b, &y);
  if (a_number && b_number && x != y) return x < y;
  return a_number != b_number ? a_number : a < b;
}

// Of two spellings of a label, whether `a` names the class: the one without white space around it, the
// shorter one ("1", not "1.0"), the one in lower case ("true", not "True").
bool IsPlainer(const std::string& a, const std::string& b) {
  const auto rank = [](const std::string& text) {
    return std::tuple(Trimmed(text).size() != text.size(), text.size());
  };
  return rank(a) != rank(b) ? rank(a) < rank(b) : a > b;
}

// The labels of a training file, each with its first place; spellings of one label are one class, named by
// the plainest of them.
class LearntLabels {
 public:
  explicit LearntLabels(std::string column) : column_(std::move(column)) {}

  void Add(const std::string& where, std::string_view cell) {
    constexpr size_t kMost = 10000;
    const auto [known, fresh] = spellings_.emplace(cell, where);
    if (!fresh) return;
    const std::string key = SpellingKey(cell);
    if (key.empty()) throw BadRequest(where, "empty label in column " + column_);
    const auto [label, first] = labels_.emplace(key, known->first);
    if (!first) Join(*known, &label->second);
    CheckKind(key, *known);
    if (labels_.size() > kMost)
      throw BadRequest(where, "more than 10000 different labels in column " + column_, "",
                       "classes; for numbers set kind: REGRESSION");
  }

  std::vector<std::string> Sorted(const std::string& path) const {
    if (labels_.size() < 2)
      throw BadRequest(path, "fewer than two different labels in column " + column_,
                       std::to_string(labels_.size()));
    std::vector<std::string> labels;
    for (const auto& [key, label] : labels_) labels.push_back(label);
    std::sort(labels.begin(), labels.end(), LabelBefore);
    return labels;
  }

 private:
  using Spelling = std::map<std::string, std::string>::value_type;  // and where it stands first

  void Join(const Spelling& other, std::string* label) {
    const std::string plainer = IsPlainer(other.first, *label) ? other.first : *label;
    Warn(other.second + ": label " + Quoted(other.first) + " is that of " + spellings_.at(*label) + ", " +
         Quoted(*label) + ", spelt in another way: one class, " + Quoted(plainer));
    *label = plainer;
  }

  // true and 1 may mean one thing or two.
  void CheckKind(const std::string& key, const Spelling& spelling) {
    const Spelling*& kind = IsTruthKey(key) ? truth_ : number_;
    if (IsTruthKey(key) || IsNumberKey(key)) kind = kind == nullptr ? &spelling : kind;
    if (truth_ == nullptr || number_ == nullptr) return;
    throw BadRequest(truth_->second, "column " + column_ + " holds truth values and numbers",
                     Quoted(truth_->first) + ", and " + Quoted(number_->first) + " at " + number_->second,
                     "labels of one kind, or labels: [...] in the task's file");
  }

  const std::string column_;
  std::map<std::string, std::string> spellings_, labels_;  // first place by spelling; class by key
  const Spelling *truth_ = nullptr, *number_ = nullptr;
};

std::vector<std::string> LearnLabels(const TaskEntry& entry, const std::string& path) {
  LearntLabels labels(entry.label_name);
  const TableOptions table{.format = entry.format, .header = entry.header, .columns = {entry.label_name}};
  ReadTable(
      path, table,
      [&](const std::string& where, std::vector<std::string_view>& cells) {
        labels.Add(where, cells[0]);
        return true;
      },
      [](const std::string& message) { throw Error(message); });
  return labels.Sorted(path);
}

// Two entries for one label would leave the second one without rows.
void CheckListed(const std::vector<std::string>& labels) {
  if (labels.size() == 1) throw BadRequest("custom.labels", "one label is no choice", labels[0]);
  std::map<std::string, std::string> known;
  for (const auto& label : labels) {
    const auto [first, fresh] = known.emplace(SpellingKey(label), label);
    if (fresh) continue;
    if (first->second == label) throw BadRequest("custom.labels", "a label is listed twice", Joined(labels));
    throw BadRequest("custom.labels", "a label is listed in two spellings",
                     Quoted(first->second) + " and " + Quoted(label));
  }
}

// Words for the same class, whatever the task.
const std::vector<std::vector<std::string>>& SameClass() {
  static const auto kSame = [] {
    std::vector<std::vector<std::string>> same = {
        {"false", "no"}, {"true", "yes"}, {"negative", "neg"}, {"positive", "pos"}, {"neutral", "neu"}};
    for (size_t i = 0; i < kThreeWay.size(); ++i) {
      same.push_back(kThreeWayNames[i]);
      same.back().push_back(kThreeWay[i]);
    }
    return same;
  }();
  return kSame;
}

// What models may call the labels beside what the task's message says.
std::vector<std::vector<std::string>> UsualNames(const std::vector<std::string>& labels) {
  if (labels == std::vector<std::string>{"0", "1"})
    return {{"false", "no", "negative", "neg"}, {"true", "yes", "positive", "pos"}};
  if (labels == std::vector<std::string>{"false", "true"}) return {{"0", "no"}, {"1", "yes"}};
  std::vector<std::vector<std::string>> all;
  for (const auto& label : labels) {
    std::string lower = label;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    all.emplace_back();
    for (const auto& same : SameClass())
      if (std::find(same.begin(), same.end(), lower) != same.end()) all.back() = same;
  }
  return all;
}

void FillSpellings(const proto::Custom& custom, TaskEntry* entry) {
  entry->spellings = UsualNames(entry->labels);
  for (const auto& names : custom.label_names()) {
    const auto label = std::find(entry->labels.begin(), entry->labels.end(), names.label());
    if (label == entry->labels.end())
      throw BadRequest("custom.label_names.label", "is no label of the task", Quoted(names.label()),
                       Joined(entry->labels));
    auto& spellings = entry->spellings[static_cast<size_t>(label - entry->labels.begin())];
    spellings.insert(spellings.end(), names.name().begin(), names.name().end());
  }
}

void Fill(const proto::Custom& custom, TaskEntry* entry) {
  const bool span = custom.kind() == proto::Custom::SPAN;
  entry->name = custom.name();
  entry->format = FormatOf(custom);
  entry->header = custom.header();
  entry->pair = custom.has_second();
  entry->train = custom.train();
  entry->dev = custom.dev();
  entry->test = custom.test();
  entry->first_name = custom.first();
  entry->second_name = custom.second();
  entry->label_name = custom.label();
  entry->start_name = custom.answer_start();
  entry->spans = SpanOptionsOf(custom.reading());
  entry->spans_given = custom.has_reading();
  entry->metrics.assign(custom.metrics().begin(), custom.metrics().end());
  if (span && (!custom.has_second() || !custom.has_answer_start()))
    throw BadRequest("custom", "kind SPAN needs second (the passage) and answer_start");
  if (!span && custom.has_answer_start()) throw BadRequest("custom.answer_start", "is for kind SPAN");
  if (!span && custom.has_null_threshold()) throw BadRequest("custom.null_threshold", "is for kind SPAN");
  if (custom.kind() != proto::Custom::CLASSIFICATION && custom.labels_size() + custom.label_names_size() > 0)
    throw BadRequest("custom.labels, custom.label_names", "are for kind CLASSIFICATION");
  MetricKind metrics = MetricKind::kClasses;
  switch (custom.kind()) {
    case proto::Custom::CLASSIFICATION:
      entry->kind = TaskKind::kClassification;
      entry->labels.assign(custom.labels().begin(), custom.labels().end());
      CheckListed(entry->labels);
      if (entry->metrics.empty()) entry->metrics = {"accuracy"};
      break;
    case proto::Custom::REGRESSION:
      entry->kind = TaskKind::kRegression;
      entry->labels = {custom.label()};
      metrics = MetricKind::kNumbers;
      if (entry->metrics.empty()) entry->metrics = {"pearson"};
      break;
    case proto::Custom::SPAN:
      entry->kind = TaskKind::kSpan;
      entry->labels = {"start", "end"};
      entry->unanswerable = true;
      entry->null_threshold = custom.null_threshold();
      entry->submission = custom.name() + "_predictions.json";
      metrics = MetricKind::kSpans;
      if (entry->metrics.empty()) entry->metrics = {"exact_match", "f1"};
      break;
  }
  for (const auto& name : entry->metrics) CheckMetric("custom.metrics", name, metrics);
}

}  // namespace

SpanOptions SpanOptionsOf(const proto::SpanReading& reading) {
  return {.document_stride = reading.document_stride(),
          .max_query = reading.max_query(),
          .n_best = reading.n_best(),
          .max_answer = reading.max_answer()};
}

bool IsTaskFile(const std::string& name) {
  return name.ends_with(".textproto") || name.find('/') != std::string::npos;
}

proto::Task ReadTaskFile(const std::string& path) {
  const std::string text = ReadFile(path);
  proto::Task task;
  // The file may hold the message Custom alone; its header comment says so.
  if (text.find("proto-message: thimble.proto.Custom") != std::string::npos ||
      text.find("proto-message: Custom") != std::string::npos) {
    ParseText(text, path, task.mutable_custom());
  } else {
    ParseText(text, path, &task);
  }
  return task;
}

const TaskEntry& Configured(const TaskEntry& base, const proto::Task& task,
                            const std::string& data_directory) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const TaskEntry>> known;
  const std::lock_guard lock(mutex);
  auto& slot = known[data_directory + '\n' + CanonicalText(task)];
  if (slot) return *slot;
  TaskEntry entry = base;
  if (task.has_squad()) {
    entry.spans = SpanOptionsOf(task.squad().reading());
    entry.spans_given = task.squad().has_reading();
  }
  if (task.has_squad2()) {
    entry.spans = SpanOptionsOf(task.squad2().reading());
    entry.spans_given = task.squad2().has_reading();
    entry.null_threshold = task.squad2().null_threshold();
  }
  if (task.has_custom()) {
    Fill(task.custom(), &entry);
    if (entry.labels.empty()) {
      if (entry.train.empty())
        throw BadRequest("custom.labels",
                         "are to be listed where there is no training file to learn them from");
      if (data_directory.empty())
        throw BadRequest("custom.labels", "are to be listed: this command does not read the training file");
      entry.labels = LearnLabels(entry, SplitPath(entry, data_directory, entry.train));
    }
    if (entry.kind == TaskKind::kClassification) FillSpellings(task.custom(), &entry);
  }
  slot = std::make_unique<const TaskEntry>(std::move(entry));
  return *slot;
}

}  // namespace thimble::data
