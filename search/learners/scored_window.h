// The scored candidates that a model is fitted to where there are more than it can bear: the latest, and the
// best of those before.
#pragma once
#include <Eigen/Dense>
#include <deque>
#include <vector>

#include "search/strategy.h"

namespace thimble::search {

class ScoredWindow {
 public:
  struct Candidate {
    proto::Architecture architecture;
    Eigen::VectorXd encoded;
    double value, standard_error;
  };

  explicit ScoredWindow(int size) : latest_size_((size + 1) / 2), best_size_(size / 2) {}

  // In order; how they are cut into calls makes no difference.
  void Add(Candidate candidate);
  std::vector<const Candidate*> All() const;  // in an order that depends on the candidates alone
  std::vector<const Candidate*> Best(int count) const;
  int added() const { return added_; }

 private:
  size_t latest_size_, best_size_;
  std::deque<Candidate> latest_;
  std::vector<Candidate> best_;  // of those that are not among the latest, best first
  int added_ = 0;
};

// What a model is fitted to: points as columns, values of mean 0 and variance 1 (0 where all are alike) and
// the variances that are known of them.
struct Standardised {
  Eigen::MatrixXd points;
  Eigen::VectorXd values, known;
  double mean = 0, deviation = 1;
};
Standardised Standardise(const std::vector<const ScoredWindow::Candidate*>& candidates);

Eigen::VectorXd ToVector(const std::vector<double>& numbers);

}  // namespace thimble::search
