#include "data/readers/table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "data/text/characters.h"

namespace thimble::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view NextLine(std::string_view* text) {
  const size_t end = std::min(text->find('\n'), text->size());
  std::string_view line = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

using Cells = std::vector<std::string_view>;

bool IsBlank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

// One record at a time off the front of the file. What is wrong with a record is told in `problem`; the next
// one can still be read.
class Records {
 public:
  Records(std::string_view text, FileFormat format) : rest_(text), format_(format) {
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  }

  int line() const { return first_line_; }  // of the record's start

  bool OnlyBlankLeft() const { return rest_.find_first_not_of(" \t\r\n") == std::string_view::npos; }

  bool Next(Cells* cells, std::string* problem) {
    problem->clear();
    cells->clear();
    if (rest_.empty()) return false;
    first_line_ = next_line_;
    if (format_ == FileFormat::kCsv) {
      NextCsv(cells, problem);
    } else {
      std::string_view line = NextLine(&rest_);
      ++next_line_;
      if (format_ == FileFormat::kTsv) {
        for (size_t tab; (tab = line.find('\t')) != std::string_view::npos; line.remove_prefix(tab + 1))
          cells->push_back(line.substr(0, tab));
      }
      cells->push_back(line);
    }
    for (const auto cell : *cells) {
      if (!IsUtf8(cell)) *problem = "invalid UTF-8";
    }
    return true;
  }

 private:
  // RFC 4180. A quote inside an unquoted cell is a letter, as Python's csv module has it.
  void NextCsv(Cells* cells, std::string* problem) {
    storage_.clear();
    std::vector<std::pair<size_t, size_t>> ranges;
    const std::string_view whole = rest_;
    size_t at = 0;
    for (bool more = true; more;) {
      const size_t begin = storage_.size();
      if (at < whole.size() && whole[at] == '"') {
        ++at;
        for (;; ++at) {
          if (at >= whole.size()) {
            // To go on behind it, the record ends with its first line.
            *problem = "a quoted cell is not closed";
            rest_ = whole;
            NextLine(&rest_);
            next_line_ = first_line_ + 1;
            cells->clear();
            return;
          }
          if (whole[at] == '"') {
            if (at + 1 >= whole.size() || whole[at + 1] != '"') break;
            ++at;
          }
          next_line_ += whole[at] == '\n';
          storage_ += whole[at];
        }
        ++at;
        if (at < whole.size() && whole[at] != ',' && whole[at] != '\n' && whole[at] != '\r' &&
            problem->empty())
          *problem = "text after the closing quote of a cell";
      }
      const size_t end = std::min(whole.find_first_of(",\n", at), whole.size());
      std::string_view tail = whole.substr(at, end - at);
      const bool last = end == whole.size() || whole[end] == '\n';
      if (last && tail.ends_with('\r')) tail.remove_suffix(1);
      storage_ += tail;
      ranges.emplace_back(begin, storage_.size());
      more = !last;
      at = std::min(end + 1, whole.size());
      if (last) ++next_line_;
    }
    rest_.remove_prefix(at);
    for (const auto& [begin, end] : ranges)
      cells->push_back(std::string_view(storage_).substr(begin, end - begin));
  }

  std::string_view rest_;
  FileFormat format_;
  int first_line_ = 1, next_line_ = 1;
  std::string storage_;  // what the cells of a CSV record point into
};

// Position of each wanted column, or -1.
std::vector<int> Locate(const std::string& path, const TableOptions& options,
                        const std::vector<std::string>& names) {
  std::vector<int> places;
  for (const auto& column : options.columns) {
    const auto found = std::find(names.begin(), names.end(), column);
    const bool optional = std::count(options.optional.begin(), options.optional.end(), column) > 0;
    if (found == names.end() && !optional)
      throw BadRequest(path, "no column " + Quoted(column), "", Joined(names));
    places.push_back(found == names.end() ? -1 : static_cast<int>(found - names.begin()));
  }
  return places;
}

// The value as a table's cell would spell it.
bool CellOf(const nlohmann::json& value, std::string* cell) {
  if (value.is_string()) {
    *cell = value.get<std::string>();
  } else if (value.is_number() || value.is_boolean()) {
    *cell = value.dump();
  } else {
    return false;
  }
  return true;
}

std::string CutObject(std::string_view line, const TableOptions& options, std::vector<std::string>* cells) {
  // What lies deeper is dropped, and then missed.
  constexpr int kMaxDepth = 64;
  const nlohmann::json::parser_callback_t shallow = [](int depth, nlohmann::json::parse_event_t,
                                                       nlohmann::json&) { return depth < kMaxDepth; };
  const auto object = nlohmann::json::parse(line, shallow, /*allow_exceptions=*/false);
  if (!object.is_object()) return "not a JSON object";
  cells->assign(options.columns.size(), "");
  for (size_t i = 0; i < options.columns.size(); ++i) {
    const auto& column = options.columns[i];
    const auto found = object.find(column);
    const bool optional = std::count(options.optional.begin(), options.optional.end(), column) > 0;
    if (found == object.end() || found->is_null()) {
      if (optional) continue;
      std::vector<std::string> names;
      for (const auto& [name, unused] : object.items()) names.push_back(name);
      return "no member " + Quoted(column) + "; accepted: " + Joined(names);
    }
    if (!CellOf(*found, &(*cells)[i])) return "member " + Quoted(column) + " is not a string or number";
  }
  return "";
}

}  // namespace

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 60;  // a whole row in an error message would hide the message
  size_t end = std::min(text.size(), kShown);
  while (end < text.size() && end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return "\"" + std::string(text.substr(0, end)) + (end < text.size() ? "...\"" : "\"");
}

std::string Joined(const std::vector<std::string>& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

bool IsTable(FileFormat format) {
  return format == FileFormat::kTsv || format == FileFormat::kCsv || format == FileFormat::kJsonLines;
}

void ReadTable(const std::string& path, const TableOptions& options,
               const std::function<bool(const std::string& where, std::vector<std::string_view>& cells)>& row,
               const std::function<void(const std::string& message)>& bad) {
  const MappedFile file(path);
  Records records(file.bytes(), options.format);
  std::string problem;
  Cells cells;
  auto where = [&] { return path + ":" + std::to_string(records.line()); };

  if (options.format == FileFormat::kJsonLines) {
    std::vector<std::string> values;
    while (records.Next(&cells, &problem)) {
      if (IsBlank(cells[0])) continue;  // as the usual readers do
      if (problem.empty()) problem = CutObject(cells[0], options, &values);
      if (!problem.empty()) {
        bad(where() + ": " + problem);
        continue;
      }
      cells.assign(values.begin(), values.end());
      if (!row(where(), cells)) return;
    }
    return;
  }

  std::vector<int> places;
  std::vector<std::string> names;
  bool named = false;
  while (records.Next(&cells, &problem)) {
    // As pandas has it. In an only column it is an empty text, unless nothing comes behind it.
    const bool blank = cells.size() == 1 && IsBlank(cells[0]);
    if (blank && (names.size() != 1 || records.OnlyBlankLeft())) continue;
    if (!named && (options.header || problem.empty())) {
      named = true;
      for (size_t i = 0; i < cells.size(); ++i)
        names.push_back(options.header ? std::string(cells[i]) : std::to_string(i + 1));
      if (!problem.empty()) throw BadRequest(where(), problem);
      places = Locate(path, options, names);
      if (options.header) continue;
    }
    if (!problem.empty()) {
      bad(where() + ": " + problem);
      continue;
    }
    if (!options.columns.empty()) {
      if (cells.size() != names.size()) {
        bad(BadRequest(where(), "wrong number of columns", std::to_string(cells.size()),
                       std::to_string(names.size()))
                .what());
        continue;
      }
      Cells wanted;
      for (const int place : places) wanted.push_back(place < 0 ? std::string_view() : cells[place]);
      cells = wanted;
    }
    if (!row(where(), cells)) return;
  }
}

}  // namespace thimble::data
