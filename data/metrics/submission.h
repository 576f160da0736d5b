// Predictions in files: those of the GLUE leaderboard ("index<TAB>prediction") and of the SQuAD scripts
// (JSON, question id to answer).
#pragma once
#include <string>
#include <vector>

#include "data/metrics/metrics.h"
#include "data/task.h"

namespace thimble::data {

// Labels as spelt; numbers clipped to the task's range, with three decimals.
std::string GlueSubmission(const TaskEntry& task, const std::vector<int>& predicted);
std::string GlueSubmission(const TaskEntry& task, const std::vector<double>& predicted);
// Keys are the questions' ids; where a row has none, its number from 0.
std::string SquadSubmission(const std::vector<Row>& rows, const std::vector<std::string>& answers);
// Score of no answer minus the best span's, as evaluate-v2.0.py reads with --na-prob-file.
std::string NullOddsFile(const std::vector<Row>& rows, const std::vector<double>& odds);

// Scores such a file of predictions for `rows`, which are labelled. Error where it has other rows or labels.
// A question of SQuAD without an answer in the file counts as unanswered.
std::vector<Metric> ScorePredictions(const TaskEntry& task, const std::vector<Row>& rows,
                                     const std::string& path);

}  // namespace thimble::data
