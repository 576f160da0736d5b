// How candidates get their scores, and what thins the proposals: the facts of both catalogues, which whoever
// checks and runs a study needs without LibTorch. They stand in the lists, search/evaluators.inc and
// search/filters.inc; the work is done in search/evaluators, one file an entry.
#pragma once
#include <string>
#include <vector>

#include "proto/study.pb.h"

namespace thimble::search {

struct SpaceContext;

// What else must hold of a study with a stage that has this evaluator or filter; throws a BadRequest with
// `where`, its place.
using StageCheck = void (*)(const proto::Study& study, const proto::Stage& stage, const SpaceContext& context,
                            const std::string& where);

struct EvaluatorEntry {
  std::string name{};                 // oneof case in proto/study.proto
  bool needs_sliced = false;          // scores what is cut out of the teacher: the study has warmup.sliced
  bool trains_cohorts = false;        // the candidates of a round are trained side by side
  bool belongs_to_its_stage = false;  // another stage scores otherwise, even with the same settings
  bool one_section = false;           // its candidates have one hidden width, depth and embedding
  // How many candidates round `number` of the stage's strategy has; nullptr: Stage.round of them.
  int (*round)(const proto::Stage& stage, int number) = nullptr;
  StageCheck check = nullptr;
};
const std::vector<EvaluatorEntry>& Evaluators();
const EvaluatorEntry& EntryOf(const proto::Evaluator& evaluator);  // its kind is set
int RoundSize(const proto::Stage& stage, int number);

struct FilterEntry {
  std::string name{};  // oneof case in proto/study.proto
  bool needs_sliced = false;
  StageCheck check = nullptr;
};
const std::vector<FilterEntry>& Filters();
const FilterEntry& EntryOf(const proto::Filter& filter);  // its kind is set

// For what scores sliced candidates: `where`; `instead`: what does without. Error (exit 2).
void RequireSliced(const proto::Study& study, const std::string& where, const std::string& instead);

}  // namespace thimble::search
