#include "data/text/vocabulary_file.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "data/text/characters.h"

namespace thimble::data {
VocabularyFile ReadVocabularyFile(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 28;
  const MappedFile file(path);
  std::string_view bytes = file.bytes();
  if (bytes.size() > kMaxBytes)
    throw BadRequest(path, "too large for a vocabulary", std::to_string(bytes.size()) + " bytes");
  VocabularyFile vocabulary{.path = path};
  for (int32_t id = 0; !bytes.empty(); ++id) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (!IsUtf8(line)) throw BadRequest(path + ":" + std::to_string(id + 1), "invalid UTF-8");
    const auto [place, fresh] = vocabulary.pieces.try_emplace(std::string(WithoutTrailingSpace(line)), id);
    if (fresh) continue;
    if (!place->first.empty()) {
      ++vocabulary.repeated;
      if (vocabulary.first_repeated.empty()) {
        vocabulary.first_repeated = place->first;
        vocabulary.first_line = place->second + 1;
      }
      if (vocabulary.first_repeated == place->first) vocabulary.taken_line = id + 1;
    }
    place->second = id;
  }
  if (vocabulary.pieces.empty()) throw BadRequest(path, "empty vocabulary", "", "one token a line");
  return vocabulary;
}

}  // namespace thimble::data
