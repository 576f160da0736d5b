// Runs a study from a program: the search, what it found, and the student that is made of it. What `thimble
// search`, `show` and `export` do.
//
//   thimble::toolkit::Study study("my-study");  // what `thimble init` wrote; or Study::Create
//   study.Run();                                // again after a stop: goes on
//   std::cout << study.Best().score << "\n";
//   study.Export("student/");  // thimble::runtime::Predictor reads it
//
// This header needs the standard library alone. Studies and architectures are text messages
// (proto/study.proto, proto/architecture.proto). What goes wrong is a std::runtime_error whose text says
// where, what was given and what is accepted. LibTorch's threads are the whole process's: one call at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace thimble::toolkit {

struct Options {
  int threads = 0;                 // 0: every core
  double checkpoint_seconds = -1;  // between two checkpoints of a training run; below 0: the standard
  std::string cache;  // directory for tokenized data; "none"; empty: $THIMBLE_CACHE or ~/.cache/thimble
  std::vector<std::string> set;     // overrides of the study's fields: "recipe.epochs=1"
  bool assume_label_order = false;  // the teacher's outputs are the task's labels by position
  // SIGINT and SIGTERM end Run and Export once their state is saved; from then on the process's handlers are
  // thimble's. A second signal ends the process.
  bool handle_signals = false;
};

enum class State {
  kComplete,
  kPruned,  // thinned before it trained
  kLeft,    // its round before the end: trained for less than the complete ones
  kFailed   // `reason` says why
};

struct Trial {
  std::string stage;
  int number = 0;      // within the stage; `thimble show` calls it STAGE/NUMBER
  std::string target;  // of a study with several: "4x", "8ms", "9M"
  State state = State::kComplete;
  std::string origin;        // how it was proposed: "uniform", "random", a strategy's word; may be empty
  std::string architecture;  // text of a message Architecture
  double score = 0;          // higher is better; NaN unless complete or left
  double standard_error = 0;
  int64_t parameters = 0;  // deployed
  std::string metrics;     // JSON object: names to values, on the held-out rows; may be empty
  std::string reason;
  double seconds = 0;  // that scoring it took
};

struct Metric {
  std::string name;
  double value = 0, standard_error = 0;  // of 1
};

// Which student. Limits that are left out do not hold; the study's own do.
struct StudentOptions {
  std::string target;                     // needed by a study with several
  std::string trial;                      // STAGE/NUMBER; empty: the best within the limits
  std::optional<int64_t> max_parameters;  // deployed
  std::optional<double> max_latency_ms;   // measured here: batch 1, 128 tokens, 1 thread
};

struct ExportOptions : StudentOptions {
  std::optional<int> epochs;  // of distillation; without: the recipe's; 0: the student as it starts
  bool uniform = false;       // instead one of the same size whose layers are all alike
  bool int8 = false;          // model.int8.onnx, too
  bool replace = false;       // a model that is there already
};

class Study {
 public:
  // Reads DIRECTORY/study.textproto, or the file itself. Error if there is none or a field is wrong.
  explicit Study(const std::string& directory, const Options& options = {});
  // Makes the directory and writes `text`, a message Study, as its study.textproto. Error if a field is
  // wrong, or another study is there.
  static Study Create(const std::string& directory, const std::string& text, const Options& options = {});
  ~Study();
  Study(Study&&) noexcept;
  Study& operator=(Study&&) noexcept;

  const std::string& directory() const;
  std::string text() const;  // the message, overridden

  // Checks everything that Run checks before its work, and writes nothing.
  void Check() const;
  // Runs all stages, or goes on with them; minutes to hours. Progress is said on standard error. Error if
  // another process runs this study, or it was begun with other inputs; if interrupted, after saving.
  void Run();

  // Every trial so far, stage by stage, in order; none before the first Run.
  std::vector<Trial> Trials() const;
  // The trial that Export would take. Error if none is complete or meets the limits.
  Trial Best(const StudentOptions& options = {}) const;
  // Distils that student and writes a directory of Hugging Face's layout with model.onnx; its metrics on the
  // task's dev rows. Error if the directory is there and not `replace`.
  std::vector<Metric> Export(const std::string& directory, const ExportOptions& options = {}) const;

 private:
  struct Impl;
  explicit Study(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace thimble::toolkit
