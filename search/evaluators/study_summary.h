// A set of rows in numbers, for reports.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace thimble::data {
struct Dataset;
struct TaskEntry;
}  // namespace thimble::data

namespace thimble::search {

// {"examples": 240, "labels": {"0": 118, "1": 122}, "lengths": [[8, 3], [16, 80]], "cut": 5}. Of a regression
// "mean", "lowest" and "highest" stand for labels, of spans "answered". Lengths: pairs of the most tokens of
// a bin, a power of two or one and a half, and how many examples it has. Cut: examples that fill
// `max_length`, most of which were longer.
nlohmann::ordered_json SummaryOf(const data::Dataset& rows, const data::TaskEntry& task, int max_length);

}  // namespace thimble::search
