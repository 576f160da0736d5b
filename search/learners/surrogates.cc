#include "search/learners/surrogates.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace thimble::search {
namespace {

constexpr double kRate = 2e-3;
constexpr double kHeldOut = 0.2;
constexpr int kBatches = 16;
constexpr int kPatience = 7;
constexpr int kWide = 64,
              kNarrow = 32;  // hidden layers of a perceptron; a natural-parameter network has two narrow ones
constexpr double kLeastVariance = 1e-4;  // of a score
constexpr double kLeastInner = 1e-12;    // within the network: it is divided by

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// In forms that the compiler has vector instructions for.
Eigen::MatrixXd Softplus(const Eigen::MatrixXd& x) {
  return (x.array().max(0) + (1 + (-x.array().abs()).exp()).log()).matrix();
}
Eigen::MatrixXd SigmoidOf(const Eigen::MatrixXd& x) { return (1 / (1 + (-x.array()).exp())).matrix(); }

Eigen::MatrixXd Drawn(int rows, int columns, double deviation, Random* random) {
  return Eigen::MatrixXd::NullaryExpr(rows, columns, [&] { return deviation * random->Normal(); });
}

Eigen::MatrixXd Columns(const Eigen::MatrixXd& points, const std::vector<int>& which) {
  return points(Eigen::all, which);
}

// For each unit and point 0 or 1 / (1 - p).
Eigen::MatrixXd Mask(Eigen::Index rows, Eigen::Index columns, double p, Random* random) {
  return Eigen::MatrixXd::NullaryExpr(rows, columns, [&] { return random->Chance(p) ? 0.0 : 1 / (1 - p); });
}

}  // namespace

// --- Perceptron: weights and bias of each layer in turn ---

struct Perceptron::Pass {
  Eigen::MatrixXd inner[2], hidden[2], mask[2];  // before softplus, behind it and dropout; empty masks: none
  Eigen::RowVectorXd out;
};

Perceptron::Perceptron(int inputs, double dropout, Random random) : dropout_(dropout) {
  int from = inputs;
  for (const int to : {kWide, kNarrow, 1}) {
    parameters_.push_back(Drawn(to, from, std::sqrt(1.0 / std::max(1, from)), &random));
    parameters_.push_back(Eigen::MatrixXd::Zero(to, 1));
    from = to;
  }
}

Perceptron::Pass Perceptron::Forward(const Eigen::MatrixXd& points, Random* dropout) const {
  Pass pass;
  const Eigen::MatrixXd* input = &points;
  for (int layer = 0; layer < 2; ++layer) {
    pass.inner[layer] = (parameters_[2 * layer] * *input).colwise() + parameters_[2 * layer + 1].col(0);
    pass.hidden[layer] = Softplus(pass.inner[layer]);
    if (dropout != nullptr) {
      pass.mask[layer] = Mask(pass.hidden[layer].rows(), pass.hidden[layer].cols(), dropout_, dropout);
      pass.hidden[layer].array() *= pass.mask[layer].array();
    }
    input = &pass.hidden[layer];
  }
  pass.out = ((parameters_[4] * *input).array() + parameters_[5](0, 0)).unaryExpr(&Sigmoid).matrix();
  return pass;
}

void Perceptron::Backward(const Eigen::MatrixXd& points, const Pass& pass, const Eigen::RowVectorXd& slope,
                          Parameters* by_parameters, Eigen::MatrixXd* by_points) const {
  Eigen::MatrixXd by_inner = (slope.array() * pass.out.array() * (1 - pass.out.array())).matrix();
  for (int layer = 2; layer >= 0; --layer) {
    if (by_parameters != nullptr) {
      (*by_parameters)[2 * layer] = by_inner * (layer > 0 ? pass.hidden[layer - 1] : points).transpose();
      (*by_parameters)[2 * layer + 1] = by_inner.rowwise().sum();
    }
    if (layer == 0 && by_points == nullptr) return;
    Eigen::MatrixXd by_input = parameters_[2 * layer].transpose() * by_inner;
    if (layer == 0) {
      *by_points = std::move(by_input);
      return;
    }
    if (pass.mask[layer - 1].size() > 0) by_input.array() *= pass.mask[layer - 1].array();
    by_inner = by_input.array() * SigmoidOf(pass.inner[layer - 1]).array();
  }
}

void Perceptron::Fit(const Eigen::MatrixXd& points, const Eigen::RowVectorXd& targets, int epochs,
                     Random random) {
  Random dropout = random.Fork("dropout");
  const auto gradient = [&](const std::vector<int>& batch, Parameters* gradients) {
    const Eigen::MatrixXd input = Columns(points, batch);
    const Pass pass = Forward(input, dropout_ > 0 ? &dropout : nullptr);
    const Eigen::RowVectorXd errors = pass.out - Eigen::RowVectorXd(targets(batch));
    Backward(input, pass, 2.0 / static_cast<double>(batch.size()) * errors, gradients, nullptr);
  };
  const auto loss = [&](const std::vector<int>& held_out) {
    return (Predict(Columns(points, held_out)) - Eigen::RowVectorXd(targets(held_out))).squaredNorm();
  };
  FitByAdam(static_cast<int>(points.cols()), epochs, random, &parameters_, gradient, loss);
}

Eigen::RowVectorXd Perceptron::Predict(const Eigen::MatrixXd& points) const {
  return Forward(points, nullptr).out;
}

double Perceptron::Gradient(const Eigen::VectorXd& point, double scale, Eigen::VectorXd* gradient) const {
  const Pass pass = Forward(point, nullptr);
  Eigen::MatrixXd by_point;
  Backward(point, pass, Eigen::RowVectorXd::Constant(1, scale), nullptr, &by_point);
  *gradient += by_point.col(0);
  return pass.out[0];
}

Eigen::RowVectorXd Perceptron::DropoutDeviation(const Eigen::MatrixXd& points, int passes,
                                                Random random) const {
  Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(points.cols()), squares = sum;
  for (int i = 0; i < passes; ++i) {
    const Eigen::RowVectorXd out = Forward(points, &random).out;
    sum += out;
    squares += out.cwiseAbs2();
  }
  return ((squares - sum.cwiseAbs2() / passes) / std::max(1, passes - 1)).cwiseMax(0).cwiseSqrt();
}

// --- Natural-parameter network ---

NormalMoments ReluMoments(double mean, double variance) {
  const double deviation = std::sqrt(std::max(variance, kLeastInner)), z = mean / deviation;
  const double below = 0.5 * std::erfc(-z / std::sqrt(2.0)),
               density = std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI);
  const double m = mean * below + deviation * density;
  const double square = (mean * mean + variance) * below + mean * deviation * density;
  return {.mean = m,
          .variance = std::max(0.0, square - m * m),
          .mean_by_mean = below,
          .mean_by_variance = 0.5 * density / deviation,
          .variance_by_mean = 2 * m * (1 - below),
          .variance_by_variance = below - m * density / deviation};
}

NormalMoments SigmoidMoments(double mean, double variance) {
  // Gauss and Hermite's rule of seven points, for a normal of variance 1.
  constexpr std::pair<double, double> kRule[] = {{0, 0.457142857142857},
                                                 {1.154405394739968, 0.240123178605013},
                                                 {2.366759410734541, 0.0307571239675865},
                                                 {3.750439717725742, 0.000548268855972217}};
  const double deviation = std::sqrt(std::max(variance, kLeastInner));
  double square = 0, square_by_mean = 0, square_by_variance = 0;
  NormalMoments moments{};
  for (const auto& [node, weight] : kRule)
    for (const double at : {node, -node}) {
      const double share = node == 0 ? 0.5 * weight : weight;
      const double value = Sigmoid(mean + deviation * at), steep = value * (1 - value),
                   by_variance = 0.5 * at / deviation;
      moments.mean += share * value;
      moments.mean_by_mean += share * steep;
      moments.mean_by_variance += share * steep * by_variance;
      square += share * value * value;
      square_by_mean += share * 2 * value * steep;
      square_by_variance += share * 2 * value * steep * by_variance;
    }
  moments.variance = std::max(0.0, square - moments.mean * moments.mean);
  moments.variance_by_mean = square_by_mean - 2 * moments.mean * moments.mean_by_mean;
  moments.variance_by_variance = square_by_variance - 2 * moments.mean * moments.mean_by_variance;
  return moments;
}

struct NaturalParameterNetwork::Pass {
  // What enters each layer, and what the last returns; before the functions; the functions' derivatives.
  Eigen::MatrixXd mean[4], variance[4];
  Eigen::MatrixXd mean_by_mean[3], mean_by_variance[3], variance_by_mean[3], variance_by_variance[3];
};

NaturalParameterNetwork::NaturalParameterNetwork(int inputs, Random random) {
  int from = inputs;
  for (const int to : {kNarrow, kNarrow, 1}) {
    const double deviation = std::sqrt(1.0 / std::max(1, from));
    parameters_.push_back(Drawn(to, from, deviation, &random));
    // Weights begin a tenth as uncertain as they are large: softplus(x) is near e^x there.
    parameters_.push_back(Eigen::MatrixXd::Constant(to, from, std::log(0.01 * deviation * deviation)));
    parameters_.push_back(Eigen::MatrixXd::Zero(to, 1));
    parameters_.push_back(Eigen::MatrixXd::Constant(to, 1, std::log(1e-3)));
    from = to;
  }
  Spread();
}

void NaturalParameterNetwork::Spread() {
  for (int i = 0; i < 6; ++i) spreads_[i] = Softplus(parameters_[2 * i + 1]);
}

NaturalParameterNetwork::Pass NaturalParameterNetwork::Forward(const Eigen::MatrixXd& points) const {
  Pass pass;
  pass.mean[0] = points;
  pass.variance[0] = Eigen::MatrixXd::Zero(points.rows(), points.cols());
  for (int layer = 0; layer < 3; ++layer) {
    const Eigen::MatrixXd &weights = parameters_[4 * layer], &spread = spreads_[2 * layer];
    const Eigen::MatrixXd means = (weights * pass.mean[layer]).colwise() + parameters_[4 * layer + 2].col(0);
    const Eigen::MatrixXd variances =
        ((spread + weights.cwiseAbs2()) * pass.variance[layer] + spread * pass.mean[layer].cwiseAbs2())
            .colwise() +
        spreads_[2 * layer + 1].col(0);
    for (auto* each :
         {&pass.mean[layer + 1], &pass.variance[layer + 1], &pass.mean_by_mean[layer],
          &pass.mean_by_variance[layer], &pass.variance_by_mean[layer], &pass.variance_by_variance[layer]})
      each->resize(means.rows(), means.cols());
    for (Eigen::Index i = 0; i < means.size(); ++i) {
      const NormalMoments moments =
          layer < 2 ? ReluMoments(means(i), variances(i)) : SigmoidMoments(means(i), variances(i));
      pass.mean[layer + 1](i) = moments.mean;
      pass.variance[layer + 1](i) = moments.variance;
      pass.mean_by_mean[layer](i) = moments.mean_by_mean;
      pass.mean_by_variance[layer](i) = moments.mean_by_variance;
      pass.variance_by_mean[layer](i) = moments.variance_by_mean;
      pass.variance_by_variance[layer](i) = moments.variance_by_variance;
    }
  }
  return pass;
}

void NaturalParameterNetwork::Backward(const Pass& pass, const Moments& slope, Parameters* by_parameters,
                                       Eigen::MatrixXd* by_points) const {
  Eigen::MatrixXd by_mean = slope.mean, by_variance = slope.variance;
  for (int layer = 2; layer >= 0; --layer) {
    const Eigen::MatrixXd inner_mean = by_mean.cwiseProduct(pass.mean_by_mean[layer]) +
                                       by_variance.cwiseProduct(pass.variance_by_mean[layer]);
    const Eigen::MatrixXd inner_variance = by_mean.cwiseProduct(pass.mean_by_variance[layer]) +
                                           by_variance.cwiseProduct(pass.variance_by_variance[layer]);
    const Eigen::MatrixXd &weights = parameters_[4 * layer], &spread = spreads_[2 * layer];
    const Eigen::MatrixXd &mean = pass.mean[layer], &variance = pass.variance[layer];
    if (by_parameters != nullptr) {
      const auto through_softplus = [&](int which, const Eigen::MatrixXd& by) {
        (*by_parameters)[4 * layer + which] = by.cwiseProduct(SigmoidOf(parameters_[4 * layer + which]));
      };
      const Eigen::MatrixXd by_squares = inner_variance * variance.transpose();
      (*by_parameters)[4 * layer] = inner_mean * mean.transpose() + 2 * weights.cwiseProduct(by_squares);
      through_softplus(1, by_squares + inner_variance * mean.cwiseAbs2().transpose());
      (*by_parameters)[4 * layer + 2] = inner_mean.rowwise().sum();
      through_softplus(3, inner_variance.rowwise().sum());
    }
    if (layer == 0 && by_points == nullptr) return;
    by_mean = weights.transpose() * inner_mean + 2 * mean.cwiseProduct(spread.transpose() * inner_variance);
    by_variance = (spread + weights.cwiseAbs2()).transpose() * inner_variance;
  }
  *by_points = std::move(by_mean);
}

void NaturalParameterNetwork::Fit(const Eigen::MatrixXd& points, const Eigen::RowVectorXd& targets,
                                  int epochs, Random random) {
  const auto loss_of = [&](const Moments& moments, const Eigen::RowVectorXd& wanted, Moments* slope) {
    const Eigen::RowVectorXd variance = moments.variance.cwiseMax(kLeastVariance),
                             errors = moments.mean - wanted;
    if (slope != nullptr) {
      const double share = 1.0 / static_cast<double>(wanted.size());
      slope->mean = share * 10 * errors.cwiseQuotient(variance);
      slope->variance =
          share * 0.5 * (1 - 10 * errors.array().square() / variance.array()) / variance.array();
      slope->variance = (moments.variance.array() > kLeastVariance).select(slope->variance, 0);
    }
    return 0.5 * (10 * errors.array().square() / variance.array() + variance.array().log()).mean();
  };
  const auto gradient = [&](const std::vector<int>& batch, Parameters* gradients) {
    Spread();
    const Pass pass = Forward(Columns(points, batch));
    Moments slope;
    loss_of({pass.mean[3], pass.variance[3]}, targets(batch), &slope);
    Backward(pass, slope, gradients, nullptr);
  };
  const auto loss = [&](const std::vector<int>& held_out) {
    Spread();
    return loss_of(Predict(Columns(points, held_out)), targets(held_out), nullptr);
  };
  FitByAdam(static_cast<int>(points.cols()), epochs, random, &parameters_, gradient, loss);
  Spread();
}

NaturalParameterNetwork::Moments NaturalParameterNetwork::Predict(const Eigen::MatrixXd& points) const {
  const Pass pass = Forward(points);
  return {pass.mean[3], pass.variance[3].cwiseMax(kLeastVariance)};
}

double NaturalParameterNetwork::Gradient(const Eigen::VectorXd& point, double weight,
                                         Eigen::VectorXd* gradient) const {
  const Pass pass = Forward(point);
  const double variance = std::max(kLeastVariance, pass.variance[3](0)), deviation = std::sqrt(variance);
  const double by_variance = pass.variance[3](0) > kLeastVariance ? 0.5 * weight / deviation : 0;
  Eigen::MatrixXd by_point;
  Backward(pass, {Eigen::RowVectorXd::Constant(1, 1), Eigen::RowVectorXd::Constant(1, by_variance)}, nullptr,
           &by_point);
  *gradient += by_point.col(0);
  return pass.mean[3](0) + weight * deviation;
}

// --- Both ---

void FitByAdam(int points, int epochs, Random random, Parameters* parameters,
               const std::function<void(const std::vector<int>& batch, Parameters* gradients)>& gradient,
               const std::function<double(const std::vector<int>& held_out)>& loss) {
  std::vector<int> order(points);
  std::iota(order.begin(), order.end(), 0);
  random.Shuffle(order);
  const int apart = std::clamp(static_cast<int>(std::lround(kHeldOut * points)), 1, std::max(1, points - 1));
  const std::vector<int> held_out(order.begin(), order.begin() + apart);
  order.erase(order.begin(), order.begin() + (points > 1 ? apart : 0));
  const auto count = static_cast<int>(order.size()), batch_size = std::max(1, count / kBatches);

  Parameters gradients = *parameters, first, second;
  for (const auto& each : *parameters) {
    first.push_back(Eigen::MatrixXd::Zero(each.rows(), each.cols()));
    second.push_back(first.back());
  }
  Parameters best = *parameters;
  double least = loss(held_out);
  int step = 0;
  for (int epoch = 0, without = 0; epoch < epochs && without < kPatience; ++epoch) {
    random.Shuffle(order);
    for (int from = 0; from < count; from += batch_size) {
      gradient({order.begin() + from, order.begin() + std::min(count, from + batch_size)}, &gradients);
      ++step;
      const double rate = kRate * std::sqrt(1 - std::pow(0.999, step)) / (1 - std::pow(0.9, step));
      for (size_t i = 0; i < parameters->size(); ++i) {
        first[i] += 0.1 * (gradients[i] - first[i]);
        second[i] += 0.001 * (gradients[i].cwiseAbs2() - second[i]);
        (*parameters)[i].array() -= rate * first[i].array() / (second[i].array().sqrt() + 1e-8);
      }
    }
    const double now = loss(held_out);
    ++without;
    if (now < least) least = now, best = *parameters, without = 0;
  }
  *parameters = std::move(best);
}

Eigen::VectorXd Climb(const Eigen::VectorXd& start,
                      const std::function<double(const Eigen::VectorXd&, Eigen::VectorXd*)>& value,
                      Random random) {
  constexpr int kSteps = 200, kStill = 6;
  constexpr double kLeastChange = 1e-5, kRegion = 0.25, kStep = 1e-3, kClimbRate = 0.5;
  const auto slope = [&](const Eigen::VectorXd& at) {
    Eigen::VectorXd gradient = Eigen::VectorXd::Zero(at.size());
    value(at, &gradient);
    return gradient;
  };
  const Eigen::VectorXd low = (start.array() - kRegion).max(0), high = (start.array() + kRegion).min(1);
  Eigen::VectorXd at = start, first = Eigen::VectorXd::Zero(start.size()), second = first;
  double before = -HUGE_VAL;
  for (int step = 0, still = 0; step < kSteps && still < kStill; ++step) {
    Eigen::VectorXd gradient = Eigen::VectorXd::Zero(start.size());
    const double now = value(at, &gradient);
    still = std::abs(now - before) < kLeastChange ? still + 1 : 0;
    before = now;
    // The diagonal of H is the mean of z * Hz over random signs z.
    const Eigen::VectorXd signs =
        Eigen::VectorXd::NullaryExpr(start.size(), [&] { return random.Chance(0.5) ? 1.0 : -1.0; });
    const Eigen::VectorXd diagonal =
        signs.cwiseProduct(slope(at + kStep * signs) - slope(at - kStep * signs)) / (2 * kStep);
    first += 0.1 * (gradient - first);
    second += 0.001 * (diagonal.cwiseAbs2() - second);
    const double rate = 0.5 * kClimbRate * (1 + std::cos(M_PI * (step % 4) / 2));
    const double unbiased = std::sqrt(1 - std::pow(0.999, step + 1)) / (1 - std::pow(0.9, step + 1));
    at.array() += rate * unbiased * first.array() / (second.array().sqrt() + 1e-8);
    at = at.cwiseMax(low).cwiseMin(high);
  }
  return at;
}

}  // namespace thimble::search
