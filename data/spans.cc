#include "data/spans.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/parallel.h"
#include "data/readers/squad.h"

namespace thimble::data {
namespace {

struct Piece {
  Example example;
  SpanWindow window;
};

// First and last token of the answer among the passage's tokens; false where no token is of it.
bool TokensOf(const Answer& answer, const std::string& passage, const std::vector<Offset>& offsets,
              size_t* first, size_t* last) {
  const size_t begin = ByteOfCharacter(passage, answer.start), end = begin + answer.text.size();
  bool found = false;
  for (size_t t = 0; t < offsets.size(); ++t) {
    if (offsets[t].end <= begin || offsets[t].begin >= end) continue;
    if (!found) *first = t;
    *last = t;
    found = true;
  }
  return found;
}

std::vector<Piece> Cut(const Row& row, int index, const TaskEntry& task, const WordPiece& tokenizer,
                       int max_length) {
  std::vector<int32_t> question = tokenizer.Pieces(row.first);
  const auto limit = static_cast<size_t>(std::min(task.spans.max_query, max_length - 4));
  if (question.size() > limit) question.resize(limit);
  const PieceList passage = tokenizer.PiecesWithOffsets(row.second);
  const size_t size = passage.ids.size(), room = static_cast<size_t>(max_length) - question.size() - 3;
  size_t first = 0, last = 0;
  const bool answered =
      !row.answers.empty() && TokensOf(row.answers[0], row.second, passage.offsets, &first, &last);

  std::vector<std::pair<size_t, size_t>> ranges;
  // Windows overlap by half at least: else an answer at a border would be whole in none.
  const size_t stride =
      std::min(static_cast<size_t>(task.spans.document_stride), std::max<size_t>(1, room / 2));
  for (size_t begin = 0;; begin += stride) {
    ranges.emplace_back(begin, std::min(size, begin + room));
    if (begin + room >= size) break;
  }
  // A token that several windows hold counts in the one where the lesser of the contexts to its sides is
  // greatest.
  const auto context = [](const std::pair<size_t, size_t>& range, size_t token) {
    return static_cast<double>(std::min(token - range.first, range.second - 1 - token)) +
           0.01 * static_cast<double>(range.second - range.first);
  };

  std::vector<Piece> pieces;
  const size_t head = question.size() + 2;  // tokens before the passage
  for (size_t r = 0; r < ranges.size(); ++r) {
    const auto [begin, end] = ranges[r];
    Piece piece;
    Example& example = piece.example;
    example.ids = {tokenizer.begin()};
    example.ids.insert(example.ids.end(), question.begin(), question.end());
    example.ids.push_back(tokenizer.separator());
    example.segments.assign(example.ids.size(), 0);
    example.ids.insert(example.ids.end(), passage.ids.begin() + static_cast<std::ptrdiff_t>(begin),
                       passage.ids.begin() + static_cast<std::ptrdiff_t>(end));
    example.ids.push_back(tokenizer.separator());
    example.segments.resize(example.ids.size(), 1);
    example.label = row.label;
    if (row.label >= 0) {
      const bool inside = answered && first >= begin && last < end;
      example.start = inside ? static_cast<int>(head + first - begin) : 0;
      example.end = inside ? static_cast<int>(head + last - begin) : 0;
    }
    piece.window = {.row = index, .passage = static_cast<int>(head)};
    for (size_t t = begin; t < end; ++t) {
      bool widest = true;
      for (size_t other = 0; other < ranges.size() && widest; ++other) {
        if (other == r || t < ranges[other].first || t >= ranges[other].second) continue;
        const double mine = context(ranges[r], t), theirs = context(ranges[other], t);
        widest = mine > theirs || (mine == theirs && r < other);
      }
      piece.window.offsets.push_back(passage.offsets[t]);
      piece.window.widest.push_back(widest);
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// The `n` tokens of [begin, end) with the greatest logits, greatest first; of equals the earlier.
std::vector<int> Greatest(const std::vector<double>& logits, int begin, int end, int which, int n) {
  std::vector<int> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  n = std::min(n, end - begin);
  std::partial_sort(order.begin(), order.begin() + n, order.end(), [&](int a, int b) {
    const double x = logits[2 * a + which], y = logits[2 * b + which];
    return x != y ? x > y : a < b;
  });
  order.resize(n);
  return order;
}

}  // namespace

Dataset TokenizeSpans(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                      int max_length, int threads) {
  THIMBLE_CHECK(max_length >= 8, std::to_string(max_length));
  std::vector<std::vector<Piece>> pieces(rows.size());
  ParallelFor(rows.size(), threads,
              [&](size_t i) { pieces[i] = Cut(rows[i], static_cast<int>(i), task, tokenizer, max_length); });
  Dataset data{.classes = 2, .kind = TaskKind::kSpan};
  for (auto& of_row : pieces) {
    for (auto& piece : of_row) {
      data.examples.push_back(std::move(piece.example));
      data.windows.push_back(std::move(piece.window));
    }
  }
  data.rows = std::make_shared<const std::vector<Row>>(rows);
  data.hash = Identity(data);
  return data;
}

std::vector<SpanAnswer> FindAnswers(const Dataset& data, const std::vector<Row>& rows, const TaskEntry& task,
                                    const std::vector<std::vector<double>>& logits) {
  THIMBLE_CHECK(data.windows.size() == data.examples.size() && logits.size() == data.examples.size(),
                std::to_string(logits.size()));
  struct Span {
    double score;
    size_t window;
    int start, end;
  };
  std::vector<std::vector<Span>> spans(rows.size());
  std::vector<double> null(rows.size(), 1e30);
  const int n_best = task.spans.n_best;
  for (size_t w = 0; w < data.windows.size(); ++w) {
    const SpanWindow& window = data.windows[w];
    const auto& scores = logits[w];
    const int tokens = static_cast<int>(data.examples[w].ids.size()), passage = window.passage;
    const int end_of_passage = passage + static_cast<int>(window.offsets.size());
    THIMBLE_CHECK(scores.size() >= 2 * static_cast<size_t>(tokens), std::to_string(scores.size()));
    null[window.row] = std::min(null[window.row], scores[0] + scores[1]);
    const auto ends = Greatest(scores, passage, end_of_passage, 1, n_best);
    for (const int start : Greatest(scores, passage, end_of_passage, 0, n_best)) {
      if (!window.widest[start - passage]) continue;
      for (const int end : ends) {
        if (end < start || end - start + 1 > task.spans.max_answer) continue;
        spans[window.row].push_back({scores[2 * start] + scores[2 * end + 1], w, start, end});
      }
    }
  }
  std::vector<SpanAnswer> answers(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    auto& found = spans[row];
    std::stable_sort(found.begin(), found.end(),
                     [](const Span& a, const Span& b) { return a.score > b.score; });
    SpanAnswer& answer = answers[row];
    for (const Span& span : found) {
      if (answer.n_best.size() == static_cast<size_t>(n_best)) break;
      const SpanWindow& window = data.windows[span.window];
      const uint32_t begin = window.offsets[span.start - window.passage].begin;
      const std::string text =
          rows[row].second.substr(begin, window.offsets[span.end - window.passage].end - begin);
      if (std::none_of(answer.n_best.begin(), answer.n_best.end(),
                       [&](const auto& c) { return c.text == text; }))
        answer.n_best.push_back({text, span.score});
    }
    if (!answer.n_best.empty()) answer.best = answer.n_best[0].text;
    answer.text = answer.best;
    if (!task.unanswerable) continue;
    answer.null_odds = answer.n_best.empty() ? 1e30 : null[row] - answer.n_best[0].score;
    if (answer.null_odds > task.null_threshold) answer.text.clear();
  }
  return answers;
}

void ApplyThreshold(double threshold, std::vector<SpanAnswer>* answers) {
  for (auto& answer : *answers) answer.text = answer.null_odds > threshold ? "" : answer.best;
}

SpanScore ScoreRow(const TaskEntry& task, const Row& row, const std::string& answer) {
  std::vector<std::string> gold;
  for (const Answer& item : row.answers) gold.push_back(item.text);
  return ScoreSpan(answer, gold, task.unanswerable ? SquadVersion::k2 : SquadVersion::k1);
}

std::vector<Metric> ScoreAnswers(const TaskEntry& task, const std::vector<Row>& rows,
                                 const std::vector<SpanAnswer>& answers) {
  THIMBLE_CHECK(rows.size() == answers.size(), std::to_string(answers.size()));
  std::vector<SpanScore> scores;
  for (size_t i = 0; i < rows.size(); ++i) scores.push_back(ScoreRow(task, rows[i], answers[i].text));
  return SpanMetrics(task.metrics, scores);
}

NullThreshold TuneThreshold(const TaskEntry& task, const std::vector<Row>& rows,
                            const std::vector<SpanAnswer>& answers) {
  THIMBLE_CHECK(rows.size() == answers.size(), std::to_string(answers.size()));
  const bool exact = task.metrics.front() == "exact_match";
  std::vector<NullCandidate> questions;
  for (size_t i = 0; i < rows.size(); ++i) {
    const SpanScore score = ScoreRow(task, rows[i], answers[i].best);
    questions.push_back({.null_odds = answers[i].null_odds,
                         .score = exact ? score.exact : score.f1,
                         .has_answer = !rows[i].answers.empty(),
                         .empty = answers[i].best.empty()});
  }
  return BestNullThreshold(std::move(questions));
}

}  // namespace thimble::data
