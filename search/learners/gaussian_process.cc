#include "search/learners/gaussian_process.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"

namespace thimble::search {
namespace {

constexpr double kJitter =
    1e-9;  // of the function's variance: equal points have a covariance that is not singular

// |a_i - b_j|, [columns of a, columns of b].
Eigen::MatrixXd Distances(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  Eigen::MatrixXd squares = -2 * a.transpose() * b;
  squares.colwise() += a.colwise().squaredNorm().transpose();
  squares.rowwise() += b.colwise().squaredNorm();
  return squares.cwiseMax(0).cwiseSqrt();
}

Eigen::MatrixXd Matern(const Eigen::MatrixXd& distances, const GaussianProcess::Parameters& parameters) {
  const Eigen::ArrayXXd r = distances.array() * (std::sqrt(5.0) / parameters.length);
  return (parameters.variance * (1 + r + r.square() / 3) * (-r).exp()).matrix();
}

Eigen::LLT<Eigen::MatrixXd> Factor(const Eigen::MatrixXd& distances, const Eigen::VectorXd& known,
                                   const GaussianProcess::Parameters& parameters) {
  Eigen::MatrixXd covariance = Matern(distances, parameters);
  covariance.diagonal().array() += known.array() + parameters.noise + kJitter * parameters.variance;
  return covariance.llt();
}

double LogLikelihoodOf(const Eigen::LLT<Eigen::MatrixXd>& factor, const Eigen::VectorXd& values) {
  if (factor.info() != Eigen::Success) return -HUGE_VAL;
  const Eigen::MatrixXd& lower = factor.matrixLLT();
  return -0.5 * factor.matrixL().solve(values).squaredNorm() - lower.diagonal().array().log().sum() -
         0.5 * static_cast<double>(values.size()) * std::log(2 * M_PI);
}

constexpr int kFree = 3;
using Vertex = std::array<double, kFree>;  // logarithms

}  // namespace

GaussianProcess::GaussianProcess(Eigen::MatrixXd points, Eigen::VectorXd values, Eigen::VectorXd known,
                                 const Parameters& parameters)
    : points_(std::move(points)), values_(std::move(values)), parameters_(parameters) {
  factor_ = Factor(Distances(points_, points_), known, parameters_);
  THIMBLE_CHECK(factor_.info() == Eigen::Success, "a covariance that is not positive");
  weights_ = factor_.solve(values_);
}

GaussianProcess::Parameters GaussianProcess::MostLikely(const Eigen::MatrixXd& points,
                                                        const Eigen::VectorXd& values,
                                                        const Eigen::VectorXd& known) {
  const Eigen::MatrixXd distances = Distances(points, points);
  std::vector<double> apart;
  for (int j = 1; j < distances.cols(); ++j)
    for (int i = 0; i < j; ++i) apart.push_back(distances(i, j));
  std::nth_element(apart.begin(), apart.begin() + static_cast<long>(apart.size() / 2), apart.end());
  const double median = apart.empty() ? 0 : apart[apart.size() / 2];
  const double length = median > 0 ? median : 1;

  // Bounds keep a sample that says little from being explained by extremes.
  const Vertex low = {std::log(1e-2), std::log(0.05 * length), std::log(1e-6)};
  const Vertex high = {std::log(1e2), std::log(20 * length), std::log(2.0)};
  const auto at = [](const Vertex& v) { return Parameters{std::exp(v[0]), std::exp(v[1]), std::exp(v[2])}; };
  const auto loss = [&](Vertex* v) {
    for (int i = 0; i < kFree; ++i) (*v)[i] = std::clamp((*v)[i], low[i], high[i]);
    return -LogLikelihoodOf(Factor(distances, known, at(*v)), values);
  };

  std::vector<std::pair<double, Vertex>> simplex;
  const Vertex start = {0, std::log(length), std::log(0.1)};
  for (int i = -1; i < kFree; ++i) {
    Vertex v = start;
    if (i >= 0) v[i] += i == 2 ? -2 : 1;
    const double value = loss(&v);
    simplex.emplace_back(value, v);
  }
  constexpr int kMostSteps = 80;
  constexpr double kEnough = 1e-3;  // of log likelihood
  for (int step = 0; step < kMostSteps; ++step) {
    std::sort(simplex.begin(), simplex.end());
    if (simplex.back().first - simplex.front().first < kEnough) break;
    Vertex middle{};
    for (int k = 0; k < kFree; ++k)
      for (int i = 0; i < kFree; ++i) middle[i] += simplex[k].second[i] / kFree;
    auto& worst = simplex.back();
    const auto beyond = [&](double by) {
      std::pair<double, Vertex> moved;
      for (int i = 0; i < kFree; ++i) moved.second[i] = middle[i] + by * (middle[i] - worst.second[i]);
      moved.first = loss(&moved.second);
      return moved;
    };
    auto moved = beyond(1);
    if (moved.first < simplex.front().first) {
      if (auto further = beyond(2); further.first < moved.first) moved = further;
    } else if (moved.first >= simplex[kFree - 1].first) {
      moved = beyond(moved.first < worst.first ? 0.5 : -0.5);
    }
    if (moved.first < worst.first) {
      worst = moved;
      continue;
    }
    for (int k = 1; k <= kFree; ++k) {
      for (int i = 0; i < kFree; ++i)
        simplex[k].second[i] = 0.5 * (simplex[k].second[i] + simplex[0].second[i]);
      simplex[k].first = loss(&simplex[k].second);
    }
  }
  return at(std::min_element(simplex.begin(), simplex.end())->second);
}

double GaussianProcess::LogLikelihood() const { return LogLikelihoodOf(factor_, values_); }

GaussianProcess::Posterior GaussianProcess::At(const Eigen::MatrixXd& points) const {
  return Believer(*this, points).posterior();
}

GaussianProcess::Believer::Believer(const GaussianProcess& process, Eigen::MatrixXd points)
    : parameters_(process.parameters_), points_(std::move(points)) {
  const Eigen::MatrixXd covariance = Matern(Distances(process.points_, points_), parameters_);
  posterior_.mean = covariance.transpose() * process.weights_;
  rows_ = static_cast<int>(covariance.rows());
  solved_ = process.factor_.matrixL().solve(covariance);
  posterior_.deviation = (parameters_.variance - solved_.colwise().squaredNorm().array())
                             .cwiseMax(0)
                             .sqrt()
                             .matrix()
                             .transpose();
}

// One row more of the Cholesky factor, for all points at once.
void GaussianProcess::Believer::Believe(int point) {
  const double own =
      std::pow(posterior_.deviation[point], 2) + parameters_.noise + kJitter * parameters_.variance;
  const Eigen::VectorXd row = (Matern(Distances(points_, points_.col(point)), parameters_) -
                               solved_.topRows(rows_).transpose() * solved_.col(point).head(rows_)) /
                              std::sqrt(own);
  if (rows_ == solved_.rows()) solved_.conservativeResize(2 * rows_, Eigen::NoChange);
  solved_.row(rows_++) = row.transpose();
  posterior_.deviation = (posterior_.deviation.array().square() - row.array().square()).cwiseMax(0).sqrt();
}

double ExpectedImprovement(double mean, double deviation, double best) {
  if (deviation <= 0) return std::max(0.0, mean - best);
  const double z = (mean - best) / deviation;
  return deviation *
         (z * 0.5 * std::erfc(-z / std::sqrt(2.0)) + std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI));
}

}  // namespace thimble::search
