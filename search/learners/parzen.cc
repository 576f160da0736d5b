#include "search/learners/parzen.h"

#include <algorithm>
#include <cmath>

namespace thimble::search {
namespace {

constexpr int kDrawn =
    4;  // before the first estimate; of 10 trials hyperopt's default, 20, would leave random search
constexpr double kGood = 0.25;   // share of the trials
constexpr int kCandidates = 24;  // drawn from the good ones' density

double Cumulative(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

}  // namespace

Parzen::Parzen(std::vector<double> points) {
  std::sort(points.begin(), points.end());
  const double least = 1.0 / (1.0 + static_cast<double>(points.size()));
  const auto add = [&](double mean, double deviation) {
    bumps_.push_back({mean, deviation, Cumulative((1 - mean) / deviation) - Cumulative(-mean / deviation)});
  };
  add(0.5, 1);
  for (size_t i = 0; i < points.size(); ++i) {
    const double below = points[i] - (i > 0 ? points[i - 1] : 0);
    const double above = (i + 1 < points.size() ? points[i + 1] : 1) - points[i];
    add(points[i], std::max({below, above, least}));
  }
}

double Parzen::LogDensity(double x) const {
  double sum = 0;
  for (const auto& [mean, deviation, mass] : bumps_) {
    const double z = (x - mean) / deviation;
    sum += std::exp(-0.5 * z * z) / (deviation * mass);
  }
  return std::log(sum / (static_cast<double>(bumps_.size()) * std::sqrt(2 * M_PI)));
}

double Parzen::Draw(Random* random) const {
  const Bump& bump = bumps_[random->Below(bumps_.size())];
  while (true) {  // a third of a bump or more lies within
    const double x = bump.mean + bump.deviation * random->Normal();
    if (x >= 0 && x <= 1) return x;
  }
}

std::vector<double> ParzenSearch::Ask() {
  std::vector<double> point(dimensions_);
  if (trials_.size() < kDrawn) {
    for (double& x : point) x = random_.Uniform();
    return point;
  }
  auto sorted = trials_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Trial& a, const Trial& b) { return a.loss < b.loss; });
  const auto good = static_cast<size_t>(std::ceil(kGood * static_cast<double>(sorted.size())));
  for (int d = 0; d < dimensions_; ++d) {
    std::vector<double> sides[2];
    for (size_t i = 0; i < sorted.size(); ++i) sides[i >= good].push_back(sorted[i].point[d]);
    const Parzen better(sides[0]), worse(sides[1]);
    double best = -HUGE_VAL;
    for (int i = 0; i < kCandidates; ++i) {
      const double x = better.Draw(&random_), ratio = better.LogDensity(x) - worse.LogDensity(x);
      if (ratio > best) best = ratio, point[d] = x;
    }
  }
  return point;
}

}  // namespace thimble::search
