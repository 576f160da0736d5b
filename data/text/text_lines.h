// Plain text, line by line, without holding or mapping the file: text may be larger than memory.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace thimble::data {

std::string_view TrimLine(std::string_view line);  // without spaces, tabs and CR at its ends
bool IsWikiHeading(std::string_view line);         // " = Title = " of WikiText
bool IsHeading(std::string_view line);             // that, or "# Title" of Markdown

// Calls `line` for each line of all files, trimmed, empty ones left out, until it returns false. The view is
// valid during the call. Error (exit 2) where a file cannot be read.
void ReadLines(const std::vector<std::string>& files, const std::function<bool(std::string_view)>& line);

// A hash of the files' bytes, in order; their names do not count.
uint64_t HashFiles(const std::vector<std::string>& files);

}  // namespace thimble::data
