// What is in a task's files, before any work: what `thimble data check` prints.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/task.h"
#include "data/text/wordpiece.h"

namespace thimble::data {

struct FileReport {
  std::string path;
  bool labelled = true;
  size_t rows = 0;
  std::vector<size_t> label_counts;          // by class
  double lowest = 0, mean = 0, highest = 0;  // regression
  size_t answered = 0;                       // spans: rows with an answer
  size_t empty = 0;                          // rows with an empty text
  size_t repeated = 0;                       // rows whose texts stood in an earlier row
  size_t contradictory = 0;                  // of these: with another label
  std::vector<std::string> problems;         // bad rows: "FILE:LINE: ..."
  std::map<size_t, size_t>
      lengths;           // rows by length: tokens with [CLS] and [SEP], or words without a tokenizer
  size_t truncated = 0;  // rows longer than the limit (spans: read in several windows)
};

struct CheckReport {
  std::vector<FileReport> files;  // those of train, dev, test that are there
  std::vector<std::string> absent;
  size_t train_in_dev = 0;  // dev rows whose texts are in the training file
  bool tokens = false;      // lengths are tokens
  bool Clean() const;       // no bad rows, and a dev or training file is there
};

// `tokenizer` may be nullptr: lengths are then words. Error where no file of the task is there.
CheckReport CheckData(const TaskEntry& task, const std::string& data_directory, const WordPiece* tokenizer,
                      int max_length, int threads);
std::string CheckText(const TaskEntry& task, const CheckReport& report, int max_length);

}  // namespace thimble::data
