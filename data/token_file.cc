#include "data/token_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <type_traits>

#include "base/error.h"
#include "base/hash.h"

namespace thimble::data {
namespace {

constexpr char kMagic[16] = "thimble tokens1";  // with its final zero: the version is part of it

template <typename T>
std::string_view Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

// Written as they lie in memory, little-endian as every machine that thimble runs on. All parts have sizes
// that are multiples of 4, those of 8 bytes come first.
struct TokenFile::Header {
  char magic[16];
  char key[32], hash[32];
  uint64_t rows, tokens, window_tokens;
  uint64_t checksum;  // of all, with 0 in its own place
  int32_t classes, kind;
};
struct TokenFile::Record {
  int32_t label, start, end;
  float score;
  int32_t first;         // tokens of segment 0; the others are of segment 1
  int32_t row, passage;  // spans: of the window
};

namespace {

uint64_t HeaderSum(TokenFile::Header header) {
  header.checksum = 0;
  return Hash64({reinterpret_cast<const char*>(&header), sizeof(header)});
}

}  // namespace

void WriteTokenFile(const std::string& path, const std::string& key, const Dataset& data) {
  THIMBLE_CHECK(key.size() == sizeof(TokenFile::Header::key) && data.hash.size() == 32, key);
  const bool spans = data.kind == TaskKind::kSpan;
  THIMBLE_CHECK(!spans || data.windows.size() == data.examples.size(), "windows are missing");
  std::vector<uint64_t> starts = {0}, window_starts = {0};
  std::vector<TokenFile::Record> records;
  std::vector<int32_t> ids;
  std::vector<Offset> offsets;
  std::vector<uint8_t> widest;
  for (size_t i = 0; i < data.examples.size(); ++i) {
    const Example& example = data.examples[i];
    const auto first = std::find(example.segments.begin(), example.segments.end(), 1);
    TokenFile::Record record{.label = example.label,
                             .start = example.start,
                             .end = example.end,
                             .score = example.score,
                             .first = static_cast<int32_t>(first - example.segments.begin())};
    if (spans) {
      const SpanWindow& window = data.windows[i];
      record.row = window.row;
      record.passage = window.passage;
      offsets.insert(offsets.end(), window.offsets.begin(), window.offsets.end());
      widest.insert(widest.end(), window.widest.begin(), window.widest.end());
      window_starts.push_back(offsets.size());
    }
    ids.insert(ids.end(), example.ids.begin(), example.ids.end());
    starts.push_back(ids.size());
    records.push_back(record);
  }
  if (!spans) window_starts.clear();
  const std::string_view parts[] = {Bytes(starts),  Bytes(window_starts), Bytes(records),
                                    Bytes(offsets), Bytes(ids),           Bytes(widest)};
  TokenFile::Header header{};
  std::copy(std::begin(kMagic), std::end(kMagic), header.magic);
  std::copy(key.begin(), key.end(), header.key);
  std::copy(data.hash.begin(), data.hash.end(), header.hash);
  header.rows = data.examples.size();
  header.tokens = ids.size();
  header.window_tokens = offsets.size();
  header.classes = data.classes;
  header.kind = static_cast<int32_t>(data.kind);
  uint64_t checksum = HeaderSum(header);
  for (const auto part : parts) checksum = Hash64(part, checksum);
  header.checksum = checksum;
  WriteFileAtomically(path, [&](const Append& append) {
    append({reinterpret_cast<const char*>(&header), sizeof(header)});
    for (const auto part : parts) append(part);
  });
}

const TokenFile::Header& TokenFile::header() const {
  return *reinterpret_cast<const Header*>(file_.bytes().data());
}

std::unique_ptr<const TokenFile> TokenFile::Open(const std::string& path, const std::string& key) {
  static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) % 8 == 0 && sizeof(Record) % 4 == 0);
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return nullptr;
  std::unique_ptr<TokenFile> file(new TokenFile(path));
  std::string_view rest = file->file_.bytes();
  if (rest.size() < sizeof(Header)) return nullptr;
  const Header& header = file->header();
  rest.remove_prefix(sizeof(Header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || key.size() != sizeof(header.key) ||
      std::memcmp(header.key, key.data(), key.size()) != 0 || header.kind < 0 ||
      header.kind > static_cast<int32_t>(TaskKind::kSpan))
    return nullptr;
  const bool spans = header.kind == static_cast<int32_t>(TaskKind::kSpan);
  uint64_t checksum = HeaderSum(header);
  bool whole = true;
  const auto take = [&](auto** to, uint64_t count) {
    const size_t size = sizeof(**to);
    whole = whole && count <= rest.size() / size;
    if (!whole) return;
    *to = reinterpret_cast<std::remove_reference_t<decltype(*to)>>(rest.data());
    checksum = Hash64(rest.substr(0, count * size), checksum);
    rest.remove_prefix(count * size);
  };
  take(&file->starts_, header.rows + 1);
  take(&file->window_starts_, spans ? header.rows + 1 : 0);
  take(&file->records_, header.rows);
  take(&file->offsets_, header.window_tokens);
  take(&file->ids_, header.tokens);
  take(&file->widest_, header.window_tokens);
  if (!whole || !rest.empty() || checksum != header.checksum) return nullptr;
  file->rows_ = header.rows;
  file->Forget();
  return file;
}

void TokenFile::Forget() const {
  const std::string_view bytes = file_.bytes();
  ::madvise(const_cast<char*>(bytes.data()), bytes.size(), MADV_DONTNEED);
}

std::span<const int32_t> TokenFile::Ids(size_t row) const {
  return {ids_ + starts_[row], ids_ + starts_[row + 1]};
}

int32_t TokenFile::Label(size_t row) const { return records_[row].label; }

Dataset TokenFile::Load(size_t begin, size_t end) const {
  THIMBLE_CHECK(begin <= end && end <= rows_, std::to_string(end) + " of " + std::to_string(rows_));
  Dataset data{.classes = header().classes, .kind = static_cast<TaskKind>(header().kind)};
  data.examples.reserve(end - begin);
  for (size_t i = begin; i < end; ++i) {
    const Record& record = records_[i];
    const auto ids = Ids(i);
    Example example{.ids = {ids.begin(), ids.end()},
                    .segments = std::vector<int32_t>(ids.size(), 1),
                    .label = record.label,
                    .score = record.score,
                    .start = record.start,
                    .end = record.end};
    std::fill_n(example.segments.begin(), record.first, 0);
    data.examples.push_back(std::move(example));
    if (data.kind != TaskKind::kSpan) continue;
    const uint64_t from = window_starts_[i], to = window_starts_[i + 1];
    data.windows.push_back({.row = record.row,
                            .passage = record.passage,
                            .offsets = {offsets_ + from, offsets_ + to},
                            .widest = std::vector<bool>(widest_ + from, widest_ + to)});
  }
  return data;
}

Dataset TokenFile::Load() const {
  Dataset data = Load(0, rows_);
  data.hash.assign(header().hash, sizeof(header().hash));
  return data;
}

}  // namespace thimble::data
