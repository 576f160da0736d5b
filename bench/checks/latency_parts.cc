// How far whole models are from the sum of their parts, as models/latency.h predicts it.
//
//   cmake --build --preset release --target latency_parts
//   build/release/bench/latency_parts [STUDENTS [SEED [TABLE.json]]]
//
// Draws students like BERT: 3 to 6 layers, 288 or 384 wide, in each layer 1 to 12 heads of 32 channels and an
// inner width of 32 to 1536. The parts of all of them are measured together; then every whole model in turn,
// and all of them once more, so that the noise of the same model is known. One row of 128 tokens, one thread,
// a pooled head of two classes. Wants an otherwise idle machine.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "base/random.h"
#include "models/latency.h"

namespace thimble::models {
namespace {

constexpr int kLength = 128, kRuns = 30, kWidths = 32;

proto::Architecture Draw(Random* random) {
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random->Below(high - low + 1));
  };
  proto::Architecture student;
  student.set_vocabulary(30522);
  student.set_hidden(random->Below(2) == 0 ? 288 : 384);
  student.set_heads(student.hidden() / 32);
  student.mutable_embedding()->mutable_plain();
  for (int layer = between(3, 6); layer > 0; --layer) {
    auto* added = student.add_layer();
    auto* attention = added->mutable_mixer()->mutable_self_attention();
    attention->set_heads(between(1, 12));
    attention->set_head_width(32);
    added->mutable_ffn()->set_expression("linear(gelu_erf(linear(x,wb1)),wb2)");
    added->mutable_ffn()->set_width(between(1, 1536 / kWidths) * kWidths);
  }
  return student;
}

std::vector<Latency> Wholes(const std::vector<proto::Architecture>& students) {
  std::vector<Latency> times;
  for (const auto& student : students)
    times.push_back(MeasureLatency(MakeModel(student, 2, 0, Random(1)), 1, kLength, 1, kRuns));
  return times;
}

void Info(const char* what, std::vector<double> errors) {
  double sum = 0;
  for (double& error : errors) {
    sum += error;
    error = std::abs(error);
  }
  std::sort(errors.begin(), errors.end());
  const size_t middle = errors.size() / 2;
  const double median = errors.size() % 2 == 1 ? errors[middle] : (errors[middle - 1] + errors[middle]) / 2;
  std::printf("%s: median %.1f%%, worst %.1f%%, mean with its sign %+.1f%%\n", what, 100 * median,
              100 * errors.back(), 100 * sum / static_cast<double>(errors.size()));
}

void Check(int count, uint64_t seed, const std::string& file) {
  Random random(seed);
  std::vector<proto::Architecture> students;
  for (int i = 0; i < count; ++i) students.push_back(Draw(&random));
  const auto start = std::chrono::steady_clock::now();
  LatencyTable table({.length = kLength}, file);
  table.Measure(students, Tokens::kFirst);
  std::printf("%s; table measured in %.1f s\n", CpuModel().c_str(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  const auto first = Wholes(students), second = Wholes(students);
  std::vector<double> errors, noise, low_errors, low_noise;
  std::printf("layers  hidden  predicted ms  median ms  again ms  10th percentile ms  again ms\n");
  for (int i = 0; i < count; ++i) {
    const double predicted = Sum(table.Parts(students[i], Tokens::kFirst));
    const Latency &a = first[i], &b = second[i];
    errors.push_back(predicted / ((a.median_ms + b.median_ms) / 2) - 1);
    noise.push_back(b.median_ms / a.median_ms - 1);
    low_errors.push_back(predicted / std::min(a.low_ms, b.low_ms) - 1);
    low_noise.push_back(b.low_ms / a.low_ms - 1);
    std::printf("%6d  %6d  %12.2f  %9.2f  %8.2f  %18.2f  %8.2f\n", students[i].layer_size(),
                students[i].hidden(), predicted, a.median_ms, b.median_ms, a.low_ms, b.low_ms);
  }
  Info("predicted over the median", errors);
  Info("the same model's median again", noise);
  // Other programs interrupt a whole pass more often than a part.
  Info("predicted over the lower 10th percentile", low_errors);
  Info("the same model's 10th percentile again", low_noise);
}

}  // namespace
}  // namespace thimble::models

int main(int argc, char** argv) {
  try {
    const int students = argc > 1 ? std::atoi(argv[1]) : 20;
    if (students <= 0)
      throw thimble::BadRequest("latency_parts", "no number of students", argv[1], "1 or more");
    thimble::models::Check(students, argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1,
                           argc > 3 ? argv[3] : "");
  } catch (const thimble::Error& error) {
    std::fprintf(stderr, "latency_parts: %s\n", error.what());
    return error.code();
  }
  return 0;
}
