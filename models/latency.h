// Latency of a whole model, measured on this machine, and predicted from its parts.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::models {

struct Latency {
  double median_ms = 0, low_ms = 0, high_ms = 0;  // median, 10th and 90th percentile
  int runs = 0, length = 0, batch = 0, threads = 0;
};

// LibTorch inference mode, float32, random tokens, `warm_up` runs first; of a pooled head no more than its logits take
// (ForLogits). Sets and restores the thread count.
Latency MeasureLatency(const Model& model, int batch, int length, int threads, int runs = 30,
                       int warm_up = 5);

// A part of a pass, and how often it comes.
struct PartLatency {
  std::string part;
  double ms = 0;  // once
  int count = 0;
};
double Sum(const std::vector<PartLatency>& parts);

// Measured parts of models: embedding; attention with the linears that enter a bottleneck; a block by its
// expression and widths; the linear that leaves a bottleneck; each with its norm, of all tokens or, "first token", of
// that alone. Pooler and head, a few rows, are left out. A space of many models has few parts: each is measured once,
// the first time that an architecture has it.
class LatencyTable {
 public:
  LatencyTable(int batch, int length, int threads, int runs = 20);

  // Of the whole pass, in its order, equal parts as one. `read`: of the last layer.
  std::vector<PartLatency> Parts(const proto::Architecture& architecture, Tokens read = Tokens::kAll);

 private:
  const int batch_, length_, threads_, runs_;
  std::map<std::string, double> measured_;
};

}  // namespace thimble::models
