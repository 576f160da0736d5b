// Scores of the official SQuAD evaluation scripts, evaluate-v1.1.py and evaluate-v2.0.py.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/metrics/metrics.h"

namespace thimble::data {

// Lower case, without ASCII punctuation and English articles, white space made single: what answers are
// compared in.
std::string NormalizeAnswer(std::string_view text);

enum class SquadVersion {
  k1,  // an empty answer is always wrong
  k2   // an empty answer is right where the question has none
};

struct SpanScore {
  double exact = 0, f1 = 0;  // best over the gold answers
};
// `gold` is empty for a question without an answer.
SpanScore ScoreSpan(std::string_view predicted, const std::vector<std::string>& gold, SquadVersion version);

// "exact_match" and "f1" over questions, 0 to 1, each with the standard error of a mean.
std::vector<Metric> SpanMetrics(const std::vector<std::string>& names, const std::vector<SpanScore>& scores);

// One question of the search for the no-answer threshold.
struct NullCandidate {
  double null_odds = 0;     // score of no answer minus score of the best span
  double score = 0;         // of the best span: its exact or f1
  bool has_answer = false;  // in the gold data
  bool empty = false;       // the best span is the empty text
};
struct NullThreshold {
  double threshold = 0;  // no answer where null_odds is above it
  double score = 0;      // mean over all questions with that threshold
};
// find_best_thresh of evaluate-v2.0.py.
NullThreshold BestNullThreshold(std::vector<NullCandidate> questions);

}  // namespace thimble::data
