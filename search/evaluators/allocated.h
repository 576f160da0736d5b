// The best untrained student within a budget: plans, tapers and uniform shapes at several widths and depths, sliced,
// refitted, and judged by how far their answers are from the teacher's. docs/allocation.md.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "distill/start/sliced.h"
#include "models/model.h"

namespace thimble::search {

struct Budget {
  std::string name, unit;  // in messages
  double limit = 0;
  // Of a student, whole; its blocks' costs add up.
  std::function<double(const proto::Architecture&)> cost;
};

struct AllocationOptions {
  std::vector<int> widths;  // hidden; empty: the teacher's, and three quarters of it
  std::vector<int> depths;  // of uniform students; empty: the teacher's, two thirds and half of it
  std::vector<std::string> rules = {"plan", "taper", "uniform"};  // and "random"
  int random = 20;          // students by chance
  int threads = 1;
  uint64_t seed = 1;
};

struct AllocatedStudent {
  std::string rule;  // "plan", "taper", "uniform", "random"
  proto::Architecture architecture;
  double cost = 0;
  // From the teacher's answers, mean over the rows, in nats (a number: squared difference); and of each row.
  double divergence = 0;
  std::vector<double> row_divergences;
};

class Allocator {
 public:
  // All must outlive it. `judge`: rows that `start` has not seen. The start's options want `surgeon`.
  Allocator(const models::Model& teacher, const distill::SlicedStart& start, const data::Dataset& judge,
            AllocationOptions options);

  // All candidates, the least divergence first. Error (exit 2) if no student is within the budget, with the least
  // cost that one can have.
  std::vector<AllocatedStudent> Allocate(const Budget& budget);

  // As it was judged.
  models::Model Make(const proto::Architecture& architecture, distill::SlicedReport* report = nullptr);

 private:
  AllocatedStudent Judge(std::string rule, const proto::Architecture& architecture, const Budget& budget);
  // With all heads and neurons: what students of this width and depth are cropped from.
  const models::Model& Supernet(const proto::Architecture& student);

  const models::Model& teacher_;
  const distill::SlicedStart& start_;
  const data::Dataset& judge_;
  const AllocationOptions options_;
  std::vector<std::vector<double>> answers_;                   // the teacher's logits
  std::map<std::pair<int, int>, models::Model> supernets_;  // by width and depth
};

}  // namespace thimble::search
