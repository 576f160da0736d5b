#include "data/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "base/spelling.h"
#include "data/readers/table.h"

namespace thimble::data {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// counts[gold * classes + predicted]
struct Confusion {
  size_t classes = 0;
  std::vector<int64_t> counts;

  double At(size_t gold, size_t predicted) const {
    return static_cast<double>(counts[gold * classes + predicted]);
  }
  double Gold(size_t c) const {
    double sum = 0;
    for (size_t p = 0; p < classes; ++p) sum += At(c, p);
    return sum;
  }
  double Predicted(size_t c) const {
    double sum = 0;
    for (size_t g = 0; g < classes; ++g) sum += At(g, c);
    return sum;
  }
  double Right() const {
    double sum = 0;
    for (size_t c = 0; c < classes; ++c) sum += At(c, c);
    return sum;
  }
  double All() const {
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  }
};

double Accuracy(const Confusion& confusion) { return confusion.Right() / confusion.All(); }

double F1Of(const Confusion& confusion, size_t c) {
  const double all = confusion.Gold(c) + confusion.Predicted(c);
  return all == 0 ? 0 : 2 * confusion.At(c, c) / all;
}

double F1(const Confusion& confusion) { return confusion.classes < 2 ? 0 : F1Of(confusion, 1); }

double MacroF1(const Confusion& confusion) {
  double sum = 0, present = 0;
  for (size_t c = 0; c < confusion.classes; ++c) {
    if (confusion.Gold(c) + confusion.Predicted(c) == 0) continue;
    sum += F1Of(confusion, c);
    ++present;
  }
  return sum / present;
}

// The correlation R_K of Gorodkin (2004), Matthews' for two classes.
double Matthews(const Confusion& confusion) {
  const double n = confusion.All();
  double both = 0, gold = 0, predicted = 0;
  for (size_t c = 0; c < confusion.classes; ++c) {
    both += confusion.Gold(c) * confusion.Predicted(c);
    gold += confusion.Gold(c) * confusion.Gold(c);
    predicted += confusion.Predicted(c) * confusion.Predicted(c);
  }
  const double product = (n * n - gold) * (n * n - predicted);
  return product == 0 ? 0 : (confusion.Right() * n - both) / std::sqrt(product);
}

// Cohen (1960): agreement beyond what the two lists' class shares give by chance.
double Kappa(const Confusion& confusion) {
  const double n = confusion.All();
  double chance = 0;
  for (size_t c = 0; c < confusion.classes; ++c) chance += confusion.Gold(c) * confusion.Predicted(c);
  return n * n == chance ? kUndefined : (n * confusion.Right() - chance) / (n * n - chance);
}

double Pearson(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const auto constant = [](const std::vector<double>& v) {
    return std::all_of(v.begin(), v.end(), [&](double x) { return x == v[0]; });
  };
  // Asked outright: the sum of squares of a constant need not come out as 0.
  if (a.size() < 2 || constant(a) || constant(b)) return kUndefined;
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return std::clamp(ab / (std::sqrt(aa) * std::sqrt(bb)), -1.0, 1.0);
}

std::vector<double> Ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    begin = end;
  }
  return ranks;
}

double Spearman(const std::vector<double>& a, const std::vector<double>& b) {
  const auto finite = [](double x) { return !std::isnan(x); };
  if (!std::all_of(a.begin(), a.end(), finite) || !std::all_of(b.begin(), b.end(), finite)) return kUndefined;
  return Pearson(Ranks(a), Ranks(b));
}

// Bootstrap over rows (Efron, 1979): `value` of each of 200 resamples, which know the standard error to 5%.
// Resamples that leave the metric undefined are passed over.
double BootstrapError(const std::function<double(Random*)>& value) {
  constexpr int kResamples = 200;
  Random random(1);
  double sum = 0, squares = 0, used = 0;
  for (int i = 0; i < kResamples; ++i) {
    const double x = value(&random);
    if (std::isnan(x)) continue;
    sum += x;
    squares += x * x;
    ++used;
  }
  return used < 2 ? 0 : std::sqrt(std::max(0.0, (squares - sum * sum / used) / (used - 1)));
}

using ClassMetric = double (*)(const Confusion&);
using NumberMetric = double (*)(const std::vector<double>&, const std::vector<double>&);

const std::map<std::string, ClassMetric> kClassMetrics = {
    {"accuracy", Accuracy}, {"f1", F1}, {"kappa", Kappa}, {"macro_f1", MacroF1}, {"matthews", Matthews}};
const std::map<std::string, NumberMetric> kNumberMetrics = {{"pearson", Pearson}, {"spearman", Spearman}};

template <typename Map>
std::vector<std::string> Names(const Map& metrics) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : metrics) names.push_back(name);
  return names;
}

template <typename T>
void CheckLists(const std::vector<T>& predicted, const std::vector<T>& gold) {
  THIMBLE_CHECK(predicted.size() == gold.size() && !gold.empty(),
                std::to_string(predicted.size()) + " answers, " + std::to_string(gold.size()) + " labels");
}

}  // namespace

void CheckMetric(const std::string& where, const std::string& name, MetricKind kind) {
  const std::map<std::string, int> spans = {{"exact_match", 0}, {"f1", 0}};
  const bool known = kind == MetricKind::kClasses   ? kClassMetrics.count(name) != 0
                     : kind == MetricKind::kNumbers ? kNumberMetrics.count(name) != 0
                                                    : spans.count(name) != 0;
  if (known) return;
  const auto names = kind == MetricKind::kClasses   ? Names(kClassMetrics)
                     : kind == MetricKind::kNumbers ? Names(kNumberMetrics)
                                                    : Names(spans);
  throw BadRequest(where, "unknown name", "\"" + name + "\"", Joined(names) + DidYouMean(name, names));
}

Metric ComputeMetric(const std::string& name, const std::vector<int>& predicted,
                     const std::vector<int>& gold) {
  CheckLists(predicted, gold);
  CheckMetric("metric", name, MetricKind::kClasses);
  Confusion confusion{.classes = 1};
  for (const auto* list : {&predicted, &gold}) {
    for (const int c : *list) {
      THIMBLE_CHECK(c >= 0, std::to_string(c));
      confusion.classes = std::max(confusion.classes, static_cast<size_t>(c) + 1);
    }
  }
  confusion.counts.assign(confusion.classes * confusion.classes, 0);
  std::vector<size_t> cells(gold.size());
  for (size_t i = 0; i < gold.size(); ++i) {
    cells[i] = static_cast<size_t>(gold[i]) * confusion.classes + static_cast<size_t>(predicted[i]);
    ++confusion.counts[cells[i]];
  }
  const ClassMetric metric = kClassMetrics.at(name);
  const double value = metric(confusion);
  if (name == "accuracy") {
    return {name, value, std::sqrt(value * (1 - value) / static_cast<double>(gold.size()))};
  }
  return {name, value, BootstrapError([&](Random* random) {
            Confusion drawn{confusion.classes, std::vector<int64_t>(confusion.counts.size())};
            for (size_t i = 0; i < cells.size(); ++i) ++drawn.counts[cells[random->Below(cells.size())]];
            return metric(drawn);
          })};
}

Metric ComputeMetric(const std::string& name, const std::vector<double>& predicted,
                     const std::vector<double>& gold) {
  CheckLists(predicted, gold);
  CheckMetric("metric", name, MetricKind::kNumbers);
  const NumberMetric metric = kNumberMetrics.at(name);
  std::vector<double> a(gold.size()), b(gold.size());
  return {name, metric(predicted, gold), BootstrapError([&](Random* random) {
            for (size_t i = 0; i < gold.size(); ++i) {
              const size_t row = random->Below(gold.size());
              a[i] = predicted[row];
              b[i] = gold[row];
            }
            return metric(a, b);
          })};
}

std::vector<Metric> ComputeMetrics(const std::vector<std::string>& names, const std::vector<int>& predicted,
                                   const std::vector<int>& gold) {
  std::vector<Metric> metrics;
  for (const auto& name : names) metrics.push_back(ComputeMetric(name, predicted, gold));
  return metrics;
}

std::vector<Metric> ComputeMetrics(const std::vector<std::string>& names,
                                   const std::vector<double>& predicted, const std::vector<double>& gold) {
  std::vector<Metric> metrics;
  for (const auto& name : names) metrics.push_back(ComputeMetric(name, predicted, gold));
  return metrics;
}

double MajorityShare(const std::vector<int>& gold) {
  THIMBLE_CHECK(!gold.empty(), "no labels");
  std::map<int, size_t> counts;
  size_t most = 0;
  for (const int label : gold) most = std::max(most, ++counts[label]);
  return static_cast<double>(most) / static_cast<double>(gold.size());
}

}  // namespace thimble::data
