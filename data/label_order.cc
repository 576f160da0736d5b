#include "data/label_order.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"
#include "data/readers/table.h"

namespace thimble::data {
namespace {

using Named = std::vector<std::pair<std::string, int>>;  // names and the outputs they stand for
using Spelling = std::function<std::string(const std::string&)>;

constexpr char kWayOut[] = "; --assume-label-order takes the outputs by position";

// "Not-Entailment" and "not_entailment" are one. A sign in front stays: "-1" is not "1".
std::string Normal(const std::string& name) {
  std::string normal;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool between = c == ' ' || c == '_' || (c == '-' && i > 0);
    if (!between) normal += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return normal;
}

std::string AsSpelt(const std::string& name) { return name; }

// Every name that stands for a label of the task; nothing if one stands for two.
std::optional<std::map<std::string, int>> NamesOf(const TaskEntry& task, const Spelling& spell,
                                                  bool with_spellings) {
  std::map<std::string, int> known;
  const auto add = [&](const std::string& name, int label) {
    return known.emplace(spell(name), label).first->second == label;
  };
  for (size_t label = 0; label < task.labels.size(); ++label)
    if (!add(task.labels[label], static_cast<int>(label))) return {};
  for (size_t label = 0; with_spellings && label < task.spellings.size(); ++label)
    for (const auto& name : task.spellings[label])
      if (!add(name, static_cast<int>(label))) return {};
  return known;
}

// The output of each label, if every label has one, and no two the same.
std::optional<std::vector<int>> Order(const Named& outputs, const std::map<std::string, int>& known,
                                      size_t labels, const Spelling& spell) {
  std::vector<int> order(labels, -1);
  for (const auto& [name, output] : outputs) {
    const auto found = known.find(spell(name));
    if (found == known.end()) continue;
    int& place = order[static_cast<size_t>(found->second)];
    if (place >= 0 && place != output) return {};
    place = output;
  }
  const std::set<int> different(order.begin(), order.end());
  if (different.size() < labels || *different.begin() < 0 || *different.rbegin() >= static_cast<int>(labels))
    return {};
  return order;
}

std::optional<std::vector<int>> Match(const Named& outputs, const TaskEntry& task) {
  if (outputs.empty()) return {};
  struct Reading {
    Spelling spell;
    bool with_spellings;
  };
  for (const auto& [spell, with_spellings] :
       {Reading{AsSpelt, false}, Reading{AsSpelt, true}, Reading{Normal, false}, Reading{Normal, true}}) {
    const auto known = NamesOf(task, spell, with_spellings);
    if (!known) continue;
    if (auto order = Order(outputs, *known, task.labels.size(), spell)) return order;
  }
  return {};
}

// LABEL_1, label 1, class_1 and 1 say no more of output 1 than that it is there.
bool IsPlaceholder(const std::string& name, int output) {
  const std::string normal = Normal(name), number = std::to_string(output);
  return normal == "label" + number || normal == "class" + number || normal == number;
}

// Whether none of them has a name. A number that is a label of the task is one.
bool Unnamed(const Named& outputs, const TaskEntry& task) {
  return std::all_of(outputs.begin(), outputs.end(), [&](const auto& output) {
    return IsPlaceholder(output.first, output.second) &&
           std::find(task.labels.begin(), task.labels.end(), output.first) == task.labels.end();
  });
}

Named ByIndex(const std::vector<std::string>& names) {
  Named outputs;
  for (size_t i = 0; i < names.size(); ++i) outputs.emplace_back(names[i], static_cast<int>(i));
  return outputs;
}

// The first ones, where there are many: a message is to be read.
std::string Shown(std::vector<std::string> items) {
  constexpr size_t kMost = 20;
  const size_t count = items.size();
  if (count <= kMost) return Joined(items);
  items.resize(kMost);
  return Joined(items) + ", ... (" + std::to_string(count) + " in all)";
}

std::string Shown(const Named& outputs) {
  std::vector<std::string> items;
  for (const auto& [name, output] : outputs) items.push_back(name + ": " + std::to_string(output));
  return Shown(std::move(items));
}

std::string Disagreement(const OutputNames& names) {
  return "id2label (" + Shown(names.names) + ") and label2id (" + Shown(names.ids) + ")";
}

std::vector<int> Positions(size_t labels) {
  std::vector<int> order(labels);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

LabelOrder ByName(const std::vector<int>& order, const Named& outputs, const TaskEntry& task) {
  if (order == Positions(order.size())) return {order, ""};
  // What each output is called; of several names in label2id the last.
  std::vector<std::string> names(order.size());
  for (const auto& [name, output] : outputs)
    if (output >= 0 && static_cast<size_t>(output) < names.size()) names[static_cast<size_t>(output)] = name;
  return {order, "its outputs are " + Shown(names) + "; they are put in the order of task " + task.name +
                     ": " + Shown(task.labels)};
}

}  // namespace

std::string Contradiction(const OutputNames& names) {
  for (const auto& [name, id] : names.ids) {
    const auto found = std::find(names.names.begin(), names.names.end(), name);
    if (found == names.names.end()) continue;
    // A name that two outputs have is no statement about either.
    if (std::count(names.names.begin(), names.names.end(), name) > 1) continue;
    if (found - names.names.begin() != id) return Disagreement(names) + " contradict each other";
  }
  return "";
}

LabelOrder MatchLabels(const std::string& where, const OutputNames& names, const TaskEntry& task,
                       bool assume_label_order) {
  const auto positions = Positions(task.labels.size());
  if (task.kind != TaskKind::kClassification) return {positions, ""};
  THIMBLE_CHECK(names.names.size() == task.labels.size(), "one name for each output");
  const Named by_index = ByIndex(names.names);
  if (assume_label_order) {
    const auto own = Match(by_index, task);
    return {positions, own == positions ? ""
                                        : "its outputs (" + Shown(names.names) +
                                              ") are taken by position, as asked: " + Shown(task.labels)};
  }
  const auto order = Match(by_index, task), other = Match(names.ids, task);
  const bool unnamed = !order && Unnamed(by_index, task);
  if (!Contradiction(names).empty() || (order && other && *order != *other))
    throw BadRequest(where + "/config.json", Disagreement(names) + " contradict each other", "",
                     "one order in both" + std::string(kWayOut));
  if (order) return ByName(*order, by_index, task);
  if (unnamed && other) return ByName(*other, names.ids, task);
  if (unnamed && Unnamed(names.ids, task))
    return {positions, "config.json does not name its outputs (" + Shown(names.names) +
                           "): they are taken by position, " + Shown(task.labels)};
  throw BadRequest(where + "/config.json", "the names of the outputs are not the labels of task " + task.name,
                   unnamed ? Shown(names.ids) : Shown(names.names), Shown(task.labels) + kWayOut);
}

}  // namespace thimble::data
