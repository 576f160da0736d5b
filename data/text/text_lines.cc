#include "data/text/text_lines.h"

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/hash.h"

namespace thimble::data {
namespace {

constexpr size_t kChunk = size_t{4} << 20;

// Calls `chunk` with the file's bytes in order until it returns false.
template <typename Body>
bool ForChunks(const std::string& path, std::string* buffer, const Body& chunk) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw BadRequest(path, "cannot be read: " + std::string(std::strerror(errno)));
  buffer->resize(kChunk);
  while (in) {
    in.read(buffer->data(), static_cast<std::streamsize>(kChunk));
    if (in.bad()) throw WorkFailed(path, "cannot be read to its end");
    const auto got = static_cast<size_t>(in.gcount());
    if (got > 0 && !chunk(std::string_view(buffer->data(), got))) return false;
  }
  return true;
}

}  // namespace

std::string_view TrimLine(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = line.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) - begin + 1);
}

bool IsWikiHeading(std::string_view line) { return line.starts_with("= ") && line.ends_with(" ="); }

bool IsHeading(std::string_view line) {
  const size_t marks = line.find_first_not_of('#');
  return IsWikiHeading(line) || (marks != 0 && marks != std::string_view::npos && line[marks] == ' ');
}

void ReadLines(const std::vector<std::string>& files, const std::function<bool(std::string_view)>& line) {
  std::string buffer, rest;  // rest: of a line that goes on in the next chunk
  for (const auto& path : files) {
    rest.clear();
    const auto give = [&](std::string_view whole) {
      const std::string_view trimmed = TrimLine(whole);
      return trimmed.empty() || line(trimmed);
    };
    const bool all = ForChunks(path, &buffer, [&](std::string_view chunk) {
      for (size_t end; (end = chunk.find('\n')) != std::string_view::npos; chunk.remove_prefix(end + 1)) {
        if (rest.empty()) {
          if (!give(chunk.substr(0, end))) return false;
          continue;
        }
        rest += chunk.substr(0, end);
        if (!give(rest)) return false;
        rest.clear();
      }
      rest += chunk;
      return true;
    });
    if (!all || (!rest.empty() && !give(rest))) return;
  }
}

uint64_t HashFiles(const std::vector<std::string>& files) {
  std::string buffer;
  uint64_t hash = 0;
  for (const auto& path : files) {
    hash = Hash64("file", hash);
    ForChunks(path, &buffer, [&](std::string_view chunk) {
      hash = Hash64(chunk, hash);
      return true;
    });
  }
  return hash;
}

}  // namespace thimble::data
