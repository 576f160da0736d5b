// Tokenized rows and the order in which they are trained on.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/task.h"
#include "data/text/wordpiece.h"

namespace thimble::proto {
class Batching;
}

namespace thimble::data {

class Corpus;

struct Example {
  std::vector<int32_t> ids, segments;
  int label = -1;            // class; regression and spans: 0 where the row is labelled
  float score = 0;           // regression
  int start = -1, end = -1;  // spans: first and last token of the answer; 0, 0: none in this window
};

// Spans: what part of a row an example is.
struct SpanWindow {
  int row = 0;
  int passage = 0;              // tokens before the passage's first
  std::vector<Offset> offsets;  // of the passage's tokens in this window, in the row's second text
  std::vector<bool> widest;     // no other window shows more around the token
};

struct Dataset {
  std::vector<Example> examples;
  int classes = 0;   // width of the task head; 0: unlabelled text
  std::string hash;  // of ids, segments and labels: the identity of the tokenized data
  TaskKind kind = TaskKind::kClassification;
  std::vector<SpanWindow> windows;  // spans: one an example
  // Spans: what SpanWindow::row counts; all of them, also in a slice.
  std::shared_ptr<const std::vector<Row>> rows;
  // Text too large to be held: `examples` is empty, data/corpus.h gives them block by block.
  std::shared_ptr<const Corpus> corpus;

  size_t size() const;  // examples of an epoch
  int64_t Tokens() const;
  Dataset Slice(size_t begin, size_t end) const;
  // The nearest example from `example` on that begins a row: where a dataset of windows may be cut in two.
  size_t RowStart(size_t example) const;
};

std::string Identity(const Dataset& data);

// Spans become windows (data/spans.h): more examples than rows.
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
// Batches in order of length, not shuffled: for evaluation. Every row appears once.
std::vector<std::vector<int>> PlanEvaluation(const Dataset& data, int size);

}  // namespace thimble::data
