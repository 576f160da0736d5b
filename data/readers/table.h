// Files of rows and columns: TAB-separated as GLUE's, CSV (RFC 4180), JSON lines. Text is UTF-8; a byte-order
// mark at the start, CR before a line end and a missing last line end are accepted. Blank lines are passed
// over; in a table of one column, where such a line is an empty text, those at the end alone.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/task.h"

namespace thimble::data {

bool IsTable(FileFormat format);

struct TableOptions {
  FileFormat format = FileFormat::kTsv;
  bool header = true;  // the first record names the columns; JSON lines have none
  // Columns wanted, by name, or by number from "1" without a header. Empty: all, in the file's order.
  std::vector<std::string> columns;
  std::vector<std::string> optional;  // of `columns`: empty cells where they are absent
};

// Calls `row(where, cells)` for each record, where is "FILE:LINE"; false stops. `bad` is called for a record
// that cannot be cut into cells (its message starts with the place), and may throw. Error where a wanted
// column does not exist.
void ReadTable(const std::string& path, const TableOptions& options,
               const std::function<bool(const std::string& where, std::vector<std::string_view>& cells)>& row,
               const std::function<void(const std::string& message)>& bad);

std::string Quoted(std::string_view text);                  // cut where it is long
std::string Joined(const std::vector<std::string>& items);  // "a, b, c"

}  // namespace thimble::data
