// Tokenized rows and the order in which they are trained on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/task.h"
#include "data/wordpiece.h"

namespace thimble::proto {
class Batching;
}

namespace thimble::data {

struct Example {
  std::vector<int32_t> ids, segments;
  int label = -1;
};

struct Dataset {
  std::vector<Example> examples;
  int classes = 0;   // 0: unlabelled text
  std::string hash;  // of ids, segments and labels: the identity of the tokenized data

  int64_t Tokens() const;
  Dataset Slice(size_t begin, size_t end) const;
};

Dataset Tokenize(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                 int max_length, int threads);
// Plain text, one example a line, the first `lines` of all files (0: all); empty lines and
// Wiki headings (" = Title = ") are skipped and not counted. Error if no line is left.
Dataset TokenizeText(const std::vector<std::string>& files, int lines, const WordPiece& tokenizer,
                     int max_length, int threads);

// Row indices of each batch of one epoch. A pure function of its arguments. Rows are shuffled, sorted by
// length rounded up to bucket_width (ties stay shuffled), cut into batches of `size`, and the batches
// shuffled; bucket_width 0: only shuffled. At most one batch is smaller.
std::vector<std::vector<int>> PlanBatches(const Dataset& data, const proto::Batching& batching,
                                          Random random);
// In order of length, not shuffled: for evaluation. Every row appears once.
std::vector<std::vector<int>> PlanEvaluation(const Dataset& data, int size);

}  // namespace thimble::data
