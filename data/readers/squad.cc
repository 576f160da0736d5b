#include "data/readers/squad.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "data/readers/table.h"
#include "data/text/basic_tokenizer.h"

namespace thimble::data {
namespace {

using Json = nlohmann::json;

Json Parse(const std::string& path) {
  constexpr int kMaxDepth = 64;
  const MappedFile file(path);
  std::string_view text = file.bytes();
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) { return depth < kMaxDepth; });
  } catch (const Json::exception& error) {
    size_t at = text.size();
    if (const auto* parse = dynamic_cast<const Json::parse_error*>(&error)) at = std::min(at, parse->byte);
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    throw BadRequest(path + ":" + std::to_string(line), "not JSON: " + std::string(error.what()));
  }
}

// Typed access that says where in the document something is missing.
class Node {
 public:
  Node(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  bool Has(const char* key) const { return json_.is_object() && json_.contains(key); }

  Node Member(const char* key) const {
    if (!Has(key)) throw BadRequest(where_, std::string("no member \"") + key + "\"");
    return {json_.at(key), where_ + "." + key};
  }
  std::vector<Node> List(const char* key) const {
    const Node list = Member(key);
    if (!list.json_.is_array()) throw BadRequest(list.where_, "not a list");
    std::vector<Node> items;
    for (size_t i = 0; i < list.json_.size(); ++i)
      items.emplace_back(list.json_[i], list.where_ + "[" + std::to_string(i) + "]");
    return items;
  }
  std::string Text(const char* key) const {
    const Node value = Member(key);
    if (!value.json_.is_string()) throw BadRequest(value.where_, "not a string");
    return value.json_.get<std::string>();
  }
  int Integer(const char* key) const {
    const Node value = Member(key);
    if (!value.json_.is_number_integer() || value.json_ < 0 || value.json_ > INT32_MAX)
      throw BadRequest(value.where_, "not a whole number", value.json_.dump());
    return value.json_.get<int>();
  }
  bool Flag(const char* key) const {
    const Node value = Member(key);
    if (!value.json_.is_boolean()) throw BadRequest(value.where_, "not true or false", value.json_.dump());
    return value.json_.get<bool>();
  }

 private:
  const Json& json_;
  std::string where_;
};

Row ReadQuestion(const TaskEntry& task, const Node& question, const std::string& passage, bool labelled) {
  Row row{.first = question.Text("question"), .second = passage, .id = question.Text("id")};
  if (!labelled) return row;
  row.label = 0;
  if (task.unanswerable && question.Has("is_impossible") && question.Flag("is_impossible")) return row;
  for (const Node& item : question.List("answers")) {
    Answer answer{item.Text("text"), item.Integer("answer_start")};
    if (auto problem = CheckAnswer(item.where(), passage, answer)) throw *problem;
    row.answers.push_back(std::move(answer));
  }
  if (row.answers.empty() && !task.unanswerable)
    throw BadRequest(question.where(), "no answer; questions without one are those of task squad2");
  return row;
}

}  // namespace

size_t ByteOfCharacter(std::string_view text, int character) {
  for (size_t byte = 0; byte <= text.size(); ++byte) {
    if (byte < text.size() && (static_cast<uint8_t>(text[byte]) & 0xC0) == 0x80) continue;
    if (character-- == 0) return byte;
  }
  return std::string_view::npos;
}

std::optional<Error> CheckAnswer(const std::string& where, const std::string& passage, const Answer& answer) {
  const size_t byte = answer.start < 0 ? std::string_view::npos : ByteOfCharacter(passage, answer.start);
  if (byte == std::string_view::npos || byte + answer.text.size() > passage.size())
    return BadRequest(where, "the answer lies outside its passage",
                      Quoted(answer.text) + " at " + std::to_string(answer.start));
  if (passage.compare(byte, answer.text.size(), answer.text) != 0) {
    return BadRequest(where, "the passage has another text there",
                      Quoted(answer.text) + " at " + std::to_string(answer.start),
                      Quoted(std::string_view(passage).substr(byte, answer.text.size())));
  }
  return {};
}

std::vector<Row> ReadSquad(const TaskEntry& task, const std::string& path, const ReadOptions& options) {
  const Json json = Parse(path);
  std::vector<Row> rows;
  for (const Node& article : Node(json, path + ": ").List("data")) {
    for (const Node& paragraph : article.List("paragraphs")) {
      const std::string passage = paragraph.Text("context");
      for (const Node& question : paragraph.List("qas")) {
        if (options.limit > 0 && rows.size() >= static_cast<size_t>(options.limit)) return rows;
        try {
          rows.push_back(ReadQuestion(task, question, passage, options.labelled));
        } catch (const Error& error) {
          if (options.problems == nullptr) throw;
          options.problems->push_back(error.what());
        }
      }
    }
  }
  return rows;
}

std::vector<Row> ReadAdvGlue(const TaskEntry& task, const std::string& path, const ReadOptions& options) {
  const Json json = Parse(path);
  std::vector<Row> rows;
  for (const Node& item : Node(json, path + ": ").List(task.part.c_str())) {
    if (options.limit > 0 && rows.size() >= static_cast<size_t>(options.limit)) break;
    try {
      const int label = item.Integer("label");
      if (label >= static_cast<int>(task.labels.size()))
        throw BadRequest(item.where(), "unknown label", std::to_string(label),
                         "0 to " + std::to_string(task.labels.size() - 1));
      rows.push_back({.first = item.Text(task.first_name.c_str()),
                      .second = task.pair ? item.Text(task.second_name.c_str()) : "",
                      .label = label});
    } catch (const Error& error) {
      if (options.problems == nullptr) throw;
      options.problems->push_back(error.what());
    }
  }
  return rows;
}

}  // namespace thimble::data
