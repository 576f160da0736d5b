// vocab.txt: a token a line, its id the number of lines before it.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>

namespace thimble::data {

struct VocabularyFile {
  std::string path;
  std::unordered_map<std::string, int32_t> pieces;
  int repeated = 0;                        // lines whose token stands on a later line too
  std::string first_repeated;              // such a token, not empty if there is one
  int32_t first_line = 0, taken_line = 0;  // of it, counted from 1
};

// White space at the end of a line is not part of the token. Of lines with the same token the last counts; a
// blank line is a token that no text has. Error (exit 2) for an empty file and for invalid UTF-8, with the
// line.
VocabularyFile ReadVocabularyFile(const std::string& path);

}  // namespace thimble::data
