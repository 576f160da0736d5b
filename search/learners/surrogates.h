// Small networks that predict a score in (0, 1) from an encoding, with gradients by the encoding: BOSHNAS'
// surrogates (Tuli et al., JAIR 2023). Points are columns. Deterministic: one thread, random numbers are
// given.
#pragma once
#include <Eigen/Dense>
#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "base/random.h"

namespace thimble::search {

using Parameters = std::vector<Eigen::MatrixXd>;  // of a network, in an order of its own

// Two hidden layers of 64 and 32 with softplus, a sigmoid. Mean squared error.
class Perceptron {
 public:
  Perceptron(int inputs, double dropout, Random random);

  void Fit(const Eigen::MatrixXd& points, const Eigen::RowVectorXd& targets, int epochs, Random random);
  Eigen::RowVectorXd Predict(const Eigen::MatrixXd& points) const;
  // The prediction, and adds `scale` times its gradient.
  double Gradient(const Eigen::VectorXd& point, double scale, Eigen::VectorXd* gradient) const;
  // Standard deviation over `passes` with dropout. Gal and Ghahramani, ICML 2016.
  Eigen::RowVectorXd DropoutDeviation(const Eigen::MatrixXd& points, int passes, Random random) const;

 private:
  struct Pass;
  Pass Forward(const Eigen::MatrixXd& points, Random* dropout) const;
  // `slope`: of the loss by the outputs. Gradients by the parameters, or by the points (the other is
  // nullptr).
  void Backward(const Eigen::MatrixXd& points, const Pass& pass, const Eigen::RowVectorXd& slope,
                Parameters* by_parameters, Eigen::MatrixXd* by_points) const;

  double dropout_;
  Parameters parameters_;
};

// A network of normal distributions: weights, and what flows, have a mean and a variance. Wang et al.,
// NeurIPS 2016 (natural-parameter networks): two hidden layers of 32 with ReLU, a sigmoid. The output's
// variance is that of a score about its mean.
class NaturalParameterNetwork {
 public:
  NaturalParameterNetwork(int inputs, Random random);

  // Loss: 0.5 (10 (mean - target)^2 / variance + log variance).
  void Fit(const Eigen::MatrixXd& points, const Eigen::RowVectorXd& targets, int epochs, Random random);
  struct Moments {
    Eigen::RowVectorXd mean, variance;
  };
  Moments Predict(const Eigen::MatrixXd& points) const;
  // mean + weight * deviation, and adds its gradient.
  double Gradient(const Eigen::VectorXd& point, double weight, Eigen::VectorXd* gradient) const;

 private:
  struct Pass;
  Pass Forward(const Eigen::MatrixXd& points) const;
  void Backward(const Pass& pass, const Moments& slope, Parameters* by_parameters,
                Eigen::MatrixXd* by_points) const;

  void Spread();

  Parameters parameters_;  // of each layer: means of weights, what softplus makes their variances of; the
                           // same of biases
  std::array<Eigen::MatrixXd, 6> spreads_;  // those variances
};

// Mean and variance of f(x) for a normal x, and their derivatives by its mean and variance.
struct NormalMoments {
  double mean, variance;
  double mean_by_mean, mean_by_variance, variance_by_mean, variance_by_variance;
};
NormalMoments ReluMoments(double mean, double variance);  // exact
// By quadrature: the formulas of Wang et al. leave a variance of up to 0.03 to a number that has none.
NormalMoments SigmoidMoments(double mean, double variance);

// Adam (Kingma and Ba, ICLR 2015), rate 2e-3, batches of a 16th of the points, on a random 80% of them; the
// parameters with the least loss on the others, after which it has not fallen for seven epochs. `gradient` is
// of a batch's mean loss.
void FitByAdam(int points, int epochs, Random random, Parameters* parameters,
               const std::function<void(const std::vector<int>& batch, Parameters* gradients)>& gradient,
               const std::function<double(const std::vector<int>& held_out)>& loss);

// Climbs `value` (which adds its gradient) from `start` within the unit cube and a quarter of it around the
// start, by AdaHessian (Yao et al., AAAI 2021): steps over the root of the mean square of the Hessian's
// diagonal, estimated with random signs. Rate 0.5 with a cosine of period 4; ends after 200 steps, or six
// changes of the value below 1e-5 in a row. Returns where it ends.
Eigen::VectorXd Climb(const Eigen::VectorXd& start,
                      const std::function<double(const Eigen::VectorXd&, Eigen::VectorXd*)>& value,
                      Random random);

}  // namespace thimble::search
