#include "data/dataset.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string_view>

#include "base/error.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "data/corpus.h"
#include "data/readers/table.h"
#include "data/spans.h"
#include "data/text/text_lines.h"
#include "proto/task.pb.h"

namespace thimble::data {
namespace {

constexpr size_t kBlock = 64;  // rows one thread tokenizes at a time

template <typename Body>
void ForEachRow(size_t rows, int threads, const Body& body) {
  ParallelFor((rows + kBlock - 1) / kBlock, threads, [&](size_t block) {
    const size_t end = std::min(rows, (block + 1) * kBlock);
    for (size_t row = block * kBlock; row < end; ++row) body(row);
  });
}

uint64_t Hash(const std::vector<int32_t>& values, uint64_t seed) {
  return Hash64({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int32_t)}, seed);
}

std::vector<std::vector<int>> Cut(const std::vector<int>& order, int size) {
  THIMBLE_CHECK(size > 0, std::to_string(size));
  std::vector<std::vector<int>> batches;
  for (size_t begin = 0; begin < order.size(); begin += size) {
    const size_t end = std::min(order.size(), begin + size);
    batches.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(begin),
                         order.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return batches;
}

std::vector<int> AllRows(const Dataset& data) {
  std::vector<int> rows(data.examples.size());
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Stable: rows of one bucket stay in the order they were in.
void SortByLength(const Dataset& data, size_t bucket_width, std::vector<int>* rows) {
  auto bucket = [&](int row) { return (data.examples[row].ids.size() + bucket_width - 1) / bucket_width; };
  std::stable_sort(rows->begin(), rows->end(), [&](int a, int b) { return bucket(a) < bucket(b); });
}

}  // namespace

std::string Identity(const Dataset& data) {
  std::vector<uint64_t> rows;
  rows.reserve(data.examples.size());
  for (const auto& example : data.examples) {
    uint64_t row = Hash(example.segments, Hash(example.ids, static_cast<uint64_t>(example.label)));
    if (data.kind == TaskKind::kRegression) row = Hash({std::bit_cast<int32_t>(example.score)}, row);
    if (data.kind == TaskKind::kSpan) row = Hash({example.start, example.end}, row);
    rows.push_back(row);
  }
  return HashHex({reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(uint64_t)});
}

int64_t Dataset::Tokens() const {
  int64_t tokens = 0;
  for (const auto& example : examples) tokens += static_cast<int64_t>(example.ids.size());
  return tokens;
}

size_t Dataset::size() const { return corpus ? corpus->rows() : examples.size(); }

size_t Dataset::RowStart(size_t example) const {
  while (example > 0 && example < windows.size() && windows[example].row == windows[example - 1].row)
    ++example;
  return example;
}

Dataset Dataset::Slice(size_t begin, size_t end) const {
  THIMBLE_CHECK(begin <= end && end <= examples.size(), std::to_string(begin) + ", " + std::to_string(end) +
                                                            " of " + std::to_string(examples.size()));
  Dataset slice{.examples = {examples.begin() + static_cast<std::ptrdiff_t>(begin),
                             examples.begin() + static_cast<std::ptrdiff_t>(end)},
                .classes = classes,
                .kind = kind};
  if (!windows.empty())
    slice.windows.assign(windows.begin() + static_cast<std::ptrdiff_t>(begin),
                         windows.begin() + static_cast<std::ptrdiff_t>(end));
  slice.rows = rows;
  slice.hash = Identity(slice);
  return slice;
}

Dataset Tokenize(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                 int max_length, int threads) {
  if (task.kind == TaskKind::kSpan) return TokenizeSpans(rows, task, tokenizer, max_length, threads);
  Dataset data{.examples = std::vector<Example>(rows.size()),
               .classes = static_cast<int>(task.labels.size()),
               .kind = task.kind};
  ForEachRow(rows.size(), threads, [&](size_t i) {
    Encoding encoding = tokenizer.Encode(rows[i].first, rows[i].second, task.pair, max_length);
    data.examples[i] = {std::move(encoding.ids), std::move(encoding.segments), rows[i].label,
                        static_cast<float>(rows[i].label < 0                    ? 0
                                           : task.kind == TaskKind::kRegression ? rows[i].score
                                                                                : 0)};
  });
  data.hash = Identity(data);
  return data;
}

Dataset TokenizeText(const std::vector<std::string>& files, int lines, const WordPiece& tokenizer,
                     int max_length, int threads) {
  THIMBLE_CHECK(lines >= 0, std::to_string(lines));
  const size_t most = lines == 0 ? SIZE_MAX : static_cast<size_t>(lines);
  std::vector<std::string> texts;
  ReadLines(files, [&](std::string_view line) {
    if (!IsWikiHeading(line)) texts.emplace_back(line);
    return texts.size() < most;
  });
  if (texts.empty()) throw BadRequest(Joined(files), "no line of text", "", "plain text, one example a line");
  Dataset data{.examples = std::vector<Example>(texts.size())};
  ForEachRow(texts.size(), threads, [&](size_t i) {
    Encoding encoding = tokenizer.Encode(texts[i], {}, /*pair=*/false, max_length);
    data.examples[i] = {std::move(encoding.ids), std::move(encoding.segments)};
  });
  data.hash = Identity(data);
  return data;
}

std::vector<std::vector<int>> PlanBatches(const Dataset& data, const proto::Batching& batching,
                                          Random random) {
  std::vector<int> rows = AllRows(data);
  random.Shuffle(rows);
  if (batching.bucket_width() == 0) return Cut(rows, batching.size());
  SortByLength(data, batching.bucket_width(), &rows);
  auto batches = Cut(rows, batching.size());
  random.Shuffle(batches);
  return batches;
}

std::vector<std::vector<int>> PlanEvaluation(const Dataset& data, int size) {
  std::vector<int> rows = AllRows(data);
  SortByLength(data, 1, &rows);
  return Cut(rows, size);
}

}  // namespace thimble::data
