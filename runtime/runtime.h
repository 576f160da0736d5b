// Runs a directory that `thimble export`, `finetune`, `distill` or `slice` wrote, or a Hugging Face BERT with
// a task head: texts in, labels, numbers or answers out. LibTorch in inference mode, float32, on the CPU.
//
//   const thimble::runtime::Predictor predictor("tuned/");
//   for (const auto& p : predictor.Predict({{"A heron stood still."}, {"one text", "and its pair"}}))
//     std::cout << p.label_name << " " << p.probabilities[p.label] << "\n";
//
// This header needs the standard library alone. What goes wrong is a std::runtime_error whose text says
// where, what was given and what is accepted.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace thimble::runtime {

enum class Kind {
  kClassification,  // one of labels()
  kRegression,      // a number
  kSpan,            // a part of the second text that answers the first, or no answer
  kMultiLabel       // any of labels(): each is true or not whatever the others are
};

struct Options {
  int threads = 0;  // LibTorch's, of the whole process; 0: as they are
  int batch = 32;   // rows that are computed together, at most; above 0
  // Tokens of a row, [CLS] and [SEP] included; 0: as many as the model was trained with; where its directory
  // does not say, its tokenizer's model_max_length, at most 512, of a window of spans 384. Not more than the
  // model has positions. Longer texts are cut, longer passages give windows.
  int max_length = 0;
  bool assume_label_order = false;  // names are id2label's, though label2id contradicts them
};

struct Input {
  std::string first;                  // UTF-8
  std::optional<std::string> second;  // spans: the passage
};

// What the model saw of an input and said about it.
struct Window {
  std::vector<int32_t> ids, segments;  // T tokens, without padding
  std::vector<double> logits;          // one a label; a number: 1; spans: [T][2], start and end
};

struct Choice {
  std::string text;        // empty: no answer
  double score = 0;        // start's plus end's
  double probability = 0;  // its share among the choices
};

struct Prediction {
  // kClassification, kMultiLabel
  int label = -1;                     // the likeliest of labels()
  std::string label_name;             // as spelt in config.json
  std::vector<double> probabilities;  // one a label; of kClassification their sum is 1

  double score = 0;  // kRegression

  // kSpan
  std::string answer;           // empty: no answer
  double null_odds = 0;         // score of no answer minus the best span's; 0 where every question has one
  std::vector<Choice> choices;  // spans, falling scores; then no answer, where there may be none

  std::vector<Window> windows;  // one; of a passage one or more
};

// What Predict did.
struct Report {
  int64_t rows = 0, windows = 0, batches = 0;
  int64_t tokens = 0;                             // without padding
  double tokenize_ms = 0, compute_ms = 0;         // of all rows
  double batch_median_ms = 0, batch_high_ms = 0;  // of one batch's forward pass: median and 90th percentile
};

struct Latency {
  double median_ms = 0, low_ms = 0, high_ms = 0;  // median, 10th and 90th percentile
  int runs = 0, batch = 0, length = 0, threads = 0;
};

// Movable; const functions may run in several threads at once.
class Predictor {
 public:
  // Error if the directory lacks config.json, weights, vocabulary or a task head, if they do not belong
  // together, a weight is NaN or infinite, or an option is out of range.
  explicit Predictor(const std::string& directory, const Options& options = {});
  ~Predictor();
  Predictor(Predictor&&) noexcept;
  Predictor& operator=(Predictor&&) noexcept;

  Kind kind() const;
  const std::vector<std::string>& labels() const;  // by class index; of a number one name; of spans none
  bool unanswerable() const;                       // spans: a question may have no answer
  int max_length() const;

  // One prediction an input, in the inputs' order. Rows of like length are computed together; what is
  // predicted does not depend on a row's company but for rounding. Error: an input of a span model without a
  // second text, a second text for a model with one segment, an output that is NaN or infinite.
  std::vector<Prediction> Predict(const std::vector<Input>& inputs, Report* report = nullptr) const;

  // Forward passes over `batch` random rows of `length` tokens, on `threads` threads. Error: a length above
  // the model's positions, a number below 1.
  Latency MeasureLatency(int batch, int length, int threads = 1, int runs = 30) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::runtime
