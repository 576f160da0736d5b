// Latency of a whole model, measured on this machine, and predicted from its parts.
#pragma once
#include <string>
#include <vector>

#include "models/latency_store.h"
#include "models/model.h"

namespace thimble::models {

struct Latency {
  double median_ms = 0, low_ms = 0, high_ms = 0;  // median, 10th and 90th percentile
  int runs = 0, length = 0, batch = 0, threads = 0;
};

// LibTorch inference mode, float32, random tokens, `warm_up` runs first; of a pooled head no more than its
// logits take (ForLogits). Sets and restores the thread count.
Latency MeasureLatency(const Model& model, int batch, int length, int threads, int runs = 30,
                       int warm_up = 5);

// A part of a pass, and how often it comes.
struct PartLatency {
  std::string part;
  double ms = 0;  // once
  int count = 0;
};
double Sum(const std::vector<PartLatency>& parts);

struct LatencySettings {
  int batch = 1, length = 128, threads = 1;
  int runs = 30;  // of each part
};

// Measured parts of models: embedding; attention with the linears that enter a bottleneck; a block by its
// expression and widths; the linear that leaves a bottleneck; each with its norm, of all tokens or, "first
// token", of that alone; pooler and head. A space of many models has few parts: each is measured once, the
// first time that an architecture has it. Of attention that differs in its number of heads only, and of
// blocks that differ in their inner width only, some sizes are measured and the others lie on lines between
// them (Anchors, in models/latency_store.h); a larger one never takes less time than a smaller one.
class LatencyTable {
 public:
  // `file` (empty: none) keeps what is measured: LatencyStore. Error (exit 2) if it is of another CPU model,
  // LibTorch, batch, length or number of threads.
  explicit LatencyTable(const LatencySettings& settings, const std::string& file = "");

  // Measures what these architectures have and the table has not, and writes its file. Parts take turns, a
  // pass each, as in a model, and of each the median counts: what slows the machine for a while slows all of
  // them. Of one thread it is the time that it had a core. Sets and restores the thread count.
  void Measure(const std::vector<proto::Architecture>& architectures, Tokens read = Tokens::kAll);

  // The parts of a whole pass, in its order, equal parts as one; measures what is missing. `read`: of the
  // last layer; kFirst: by a pooled head, which then comes last.
  std::vector<PartLatency> Parts(const proto::Architecture& architecture, Tokens read = Tokens::kAll);

 private:
  const LatencySettings settings_;
  LatencyStore store_;
};

}  // namespace thimble::models
