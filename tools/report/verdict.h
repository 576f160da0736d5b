// Whether a search was worth it: what it found beside the controls that were trained as long.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "search/controller.h"

namespace thimble::tools {

struct Comparison {
  const search::StoredTrial* control = nullptr;
  double more = 0, error = 0;  // of the found student's score, and its standard error
  double Errors() const { return error > 0 ? more / error : 0; }
  std::string Word() const;  // "beats", "loses to", "cannot be told from": two standard errors tell
};

// Of pointers into the results.
struct Verdict {
  const search::StageResult* stage = nullptr;
  const search::StoredTrial* found = nullptr;
  std::vector<Comparison>
      against{};  // uniform, random, ready checkpoint: those that are there, the best of each
};

// The verdict of the last stage that trained controls; nothing where none has, or found nothing. `results`:
// of one target.
std::optional<Verdict> VerdictOf(const std::vector<search::StageResult>& results);

// The best trial of the last stage that has one; nothing: nothing is complete yet.
struct Found {
  const search::StageResult* stage = nullptr;
  const search::StoredTrial* trial = nullptr;
};
Found FoundIn(const std::vector<search::StageResult>& results);

// "accuracy 0.861, f1 0.902" on the held-out rows; scores are not always metrics.
std::string MetricsText(const search::StoredTrial& trial);

// All that is known, for a terminal; a line.
std::string VerdictLine(const Verdict& verdict);
// For people who know nothing of it, without an end: what was found, whether it beats the controls, and
// whether the search is over.
std::string Headline(const std::vector<search::StageResult>& results);

}  // namespace thimble::tools
