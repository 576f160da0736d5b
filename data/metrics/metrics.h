// Official metrics over a whole set (never averaged over batches), equal to scikit-learn's and scipy's. Where
// those leave a value undefined (a correlation with a constant, kappa of one class) it is NaN here too;
// Matthews correlation is then 0, as there.
#pragma once
#include <string>
#include <vector>

namespace thimble::data {

struct Metric {
  std::string name;           // "accuracy", "f1"
  double value = 0;           // at most 1
  double standard_error = 0;  // accuracy: binomial; others: bootstrap over rows with a fixed seed
};

// Metrics of class indices. accuracy: share of equal entries. f1: of class 1, 0 where precision + recall = 0.
// macro_f1: mean over the classes that occur in either list. matthews: correlation of the confusion matrix.
// kappa: Cohen's, unweighted. Names outside these are an Error.
Metric ComputeMetric(const std::string& name, const std::vector<int>& predicted,
                     const std::vector<int>& gold);
std::vector<Metric> ComputeMetrics(const std::vector<std::string>& names, const std::vector<int>& predicted,
                                   const std::vector<int>& gold);
double MajorityShare(const std::vector<int>& gold);  // accuracy of always answering the commonest class

// Metrics of numbers. pearson; spearman: pearson of ranks, ties share their mean rank.
Metric ComputeMetric(const std::string& name, const std::vector<double>& predicted,
                     const std::vector<double>& gold);
std::vector<Metric> ComputeMetrics(const std::vector<std::string>& names,
                                   const std::vector<double>& predicted, const std::vector<double>& gold);

// Error that lists the accepted names, unless `name` is known for class indices, for numbers, or
// (data/metrics/squad_metrics.h) for spans.
enum class MetricKind { kClasses, kNumbers, kSpans };
void CheckMetric(const std::string& where, const std::string& name, MetricKind kind);

}  // namespace thimble::data
