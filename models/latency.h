// Latency of a whole model, measured on this machine.
#pragma once
#include "models/model.h"

namespace thimble::models {

struct Latency {
  double median_ms = 0, low_ms = 0, high_ms = 0;  // median, 10th and 90th percentile
  int runs = 0, length = 0, batch = 0, threads = 0;
};

// LibTorch inference mode, float32, random tokens, `warm_up` runs first. Sets and restores the thread count.
Latency MeasureLatency(const Model& model, int batch, int length, int threads, int runs = 30,
                       int warm_up = 5);

}  // namespace thimble::models
