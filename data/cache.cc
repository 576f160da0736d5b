#include "data/cache.h"

#include <bit>
#include <cstdlib>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/token_file.h"

namespace thimble::data {
namespace {

uint64_t Mix(uint64_t value, uint64_t seed) {
  return Hash64({reinterpret_cast<const char*>(&value), sizeof(value)}, seed);
}

// Chained over the fields, each text with its length, so that no two lists of rows read alike.
std::string KeyOf(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                  int max_length) {
  uint64_t hash = 0;
  const auto text = [&](const std::string& bytes) { hash = Hash64(bytes, Mix(bytes.size(), hash)); };
  for (const Row& row : rows) {
    text(row.first);
    text(row.second);
    hash = Mix(static_cast<uint64_t>(row.label), hash);
    if (task.kind == TaskKind::kRegression) hash = Mix(std::bit_cast<uint64_t>(row.score), hash);
    hash = Mix(row.answers.size(), hash);
    for (const Answer& answer : row.answers) {
      text(answer.text);
      hash = Mix(static_cast<uint64_t>(answer.start), hash);
    }
  }
  std::string settings = tokenizer.hash() + " " + std::to_string(rows.size());
  for (const int64_t number : {static_cast<int64_t>(task.kind), static_cast<int64_t>(task.pair),
                               static_cast<int64_t>(task.labels.size()), static_cast<int64_t>(max_length)})
    settings += " " + std::to_string(number);
  if (task.kind == TaskKind::kSpan)
    settings += " " + std::to_string(task.spans.document_stride) + " " + std::to_string(task.spans.max_query);
  return HashHex(settings + " " + std::to_string(hash));
}

}  // namespace

std::string CacheDirectory(const std::string& wanted) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string directory = wanted.empty() ? variable("THIMBLE_CACHE") : wanted;
  if (directory == "none") return "";
  if (!directory.empty()) return directory;
  directory = variable("XDG_CACHE_HOME");
  if (directory.empty() && !variable("HOME").empty()) directory = variable("HOME") + "/.cache";
  return directory.empty() ? "" : directory + "/thimble";
}

Dataset TokenizeCached(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                       int max_length, int threads, const std::string& directory) {
  if (directory.empty()) return Tokenize(rows, task, tokenizer, max_length, threads);
  const std::string key = KeyOf(rows, task, tokenizer, max_length);
  const std::string path = directory + "/rows-" + key + ".tokens";
  if (const auto file = TokenFile::Open(path, key)) {
    Dataset data = file->Load();
    if (data.kind == TaskKind::kSpan) data.rows = std::make_shared<const std::vector<Row>>(rows);
    return data;
  }
  Dataset data = Tokenize(rows, task, tokenizer, max_length, threads);
  try {
    const EnsuredDirectory made(directory);
    WriteTokenFile(path, key, data);
  } catch (const std::exception& error) {  // a full disk or a folder that is not ours costs time, no more
    Warn(std::string("tokens are not kept: ") + error.what());
  }
  return data;
}

}  // namespace thimble::data
