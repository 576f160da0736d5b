#include "models/latency.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"

namespace thimble::models {
namespace {

class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

// The q-quantile of sorted values, between neighbours by linear interpolation.
double Quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Latency MeasureLatency(const Model& model, int batch, int length, int threads, int runs, int warm_up) {
  THIMBLE_CHECK(batch > 0 && length > 0 && threads > 0 && runs > 0 && warm_up >= 0, "nothing to measure");
  const c10::InferenceMode inference;
  const ThreadCount thread_count(threads);
  Random random(0);
  Batch input;
  input.ids = at::empty({batch, length}, at::kLong);
  int64_t* ids = input.ids.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < input.ids.numel(); ++i)
    ids[i] = static_cast<int64_t>(random.Below(model.shape.vocabulary));
  input.segments = at::zeros({batch, length}, at::kLong);
  input.mask = at::ones({batch, length}, at::kFloat);

  std::vector<double> times;
  for (int i = -warm_up; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Forward(model, input);
    const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
    if (i >= 0) times.push_back(passed.count());
  }
  std::sort(times.begin(), times.end());
  Latency latency{Quantile(times, 0.5), Quantile(times, 0.1), Quantile(times, 0.9)};
  latency.runs = runs;
  latency.length = length;
  latency.batch = batch;
  latency.threads = threads;
  return latency;
}

}  // namespace thimble::models
