// How a search stands, in a few lines that a terminal draws in place (base/status.h).
#pragma once
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "search/store.h"

namespace thimble::search {

struct ViewState {
  std::string stage, target;   // target: TargetName; empty: the study has none
  int number = 0, stages = 0;  // of the stages of all targets, from 1
  int scored = 0, wanted = 0;  // candidates of the stage
  int round = 0;               // candidates that are being scored; 0: none
  std::string teacher;         // "accuracy 0.872"; empty: not known
  double seconds = 0;          // of this stage in this run
  int scored_before = 0;       // candidates that were scored in earlier runs
};

// Label and text: the stage; the best candidate beside the controls and the teacher; the rate and the time
// left of the stage. Fewer where there is nothing to say yet.
std::vector<std::pair<std::string, std::string>> ViewLines(const ViewState& state,
                                                           const std::vector<StoredTrial>& trials);

// Draws while it lives.
class SearchView {
 public:
  SearchView(int stages, std::string teacher);
  ~SearchView();
  SearchView(const SearchView&) = delete;
  SearchView& operator=(const SearchView&) = delete;

  void Begin(const std::string& stage, const std::string& target, int wanted);
  // `scored`: of the stage's candidates, by now; `round`: those that are being scored.
  void Update(int scored, int round, const std::vector<StoredTrial>& trials);

 private:
  ViewState state_;
  std::chrono::steady_clock::time_point begin_;
  bool first_ = true;  // no update of the stage yet
};

}  // namespace thimble::search
