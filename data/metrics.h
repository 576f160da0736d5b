// Official metrics over a whole set (never averaged over batches), equal to scikit-learn's.
#pragma once
#include <string>
#include <vector>

namespace thimble::data {

struct Metric {
  std::string name;           // "accuracy", "f1"
  double value = 0;           // 0 to 1
  double standard_error = 0;  // accuracy: binomial; f1: bootstrap over rows with a fixed seed
};

// accuracy: share of equal entries. f1: of class 1, 0 where precision + recall = 0. Names outside these are
// an Error.
Metric ComputeMetric(const std::string& name, const std::vector<int>& predicted,
                     const std::vector<int>& gold);
std::vector<Metric> ComputeMetrics(const std::vector<std::string>& names, const std::vector<int>& predicted,
                                   const std::vector<int>& gold);
double MajorityShare(const std::vector<int>& gold);  // accuracy of always answering the commonest class

}  // namespace thimble::data
