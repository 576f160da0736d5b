// How a student was cut from its teacher: options of the sliced start from the command line, and the record
// that commands leave beside a student, sliced_start.json, which `thimble describe` prints.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/metrics/metrics.h"
#include "distill/start/sliced.h"
#include "proto/study.pb.h"
#include "tools/options.h"

namespace thimble::tools {

// Takes the assignments "sliced.FIELD=VALUE" out of `options->set`; validated.
proto::Sliced TakeSliced(Options* options);

// Rows for the regressions and rows that judge them: the last sixth, at most `sliced.validate_rows`; a single
// row does both.
struct SlicedSample {
  std::vector<models::Batch> fit, held_out;
  int64_t rows = 0, held_out_rows = 0;
};
SlicedSample SplitSample(const data::Dataset& rows, const proto::Sliced& sliced);

struct SlicedRecord {
  distill::SlicedReport report;
  proto::Sliced options;
  int64_t rows = 0, held_out_rows = 0;  // 0: not known
  std::vector<distill::CapturedVariance> captured;
  // Of `thimble slice`: untrained student and teacher on the dev rows.
  std::vector<data::Metric> metrics, teacher_metrics;
  int64_t parameters = 0, teacher_parameters = 0;
  double seconds = 0;
  // Of a student for a goal: which, and the best of each rule (a table with its head).
  std::string goal;
  std::vector<std::vector<std::string>> rules;
};
void WriteSlicedRecord(const SlicedRecord& record, const std::string& directory);

std::string BlockTable(const distill::SlicedReport& report);
// The record in words; empty if there is none in the directory.
std::string SlicedRecordText(const std::string& directory);

}  // namespace thimble::tools
