#include "search/learners/surrogates.h"

#include <gtest/gtest.h>

#include <cmath>

namespace thimble::search {
namespace {

// By draws of a normal x.
std::pair<double, double> Drawn(double mean, double variance, double (*f)(double)) {
  Random random(7);
  constexpr int kDraws = 400000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double y = f(mean + std::sqrt(variance) * random.Normal());
    sum += y, squares += y * y;
  }
  return {sum / kDraws, squares / kDraws - sum * sum / kDraws / kDraws};
}

constexpr std::pair<double, double> kNormals[] = {{0.5, 1}, {-1, 0.5}, {2, 0.1}, {-0.2, 3}};

TEST(MomentsTest, OfReluAreExact) {
  for (const auto& [mean, variance] : kNormals) {
    const auto [drawn_mean, drawn_variance] =
        Drawn(mean, variance, [](double x) { return std::max(0.0, x); });
    const NormalMoments moments = ReluMoments(mean, variance);
    EXPECT_NEAR(moments.mean, drawn_mean, 0.01);
    EXPECT_NEAR(moments.variance, drawn_variance, 0.02);
  }
}

TEST(MomentsTest, OfTheSigmoidAreClose) {
  EXPECT_NEAR(SigmoidMoments(-1, 1e-8).variance, 0, 1e-8);
  for (const auto& [mean, variance] : kNormals) {
    const auto [drawn_mean, drawn_variance] =
        Drawn(mean, variance, [](double x) { return 1 / (1 + std::exp(-x)); });
    const NormalMoments moments = SigmoidMoments(mean, variance);
    EXPECT_NEAR(moments.mean, drawn_mean, 0.003);
    EXPECT_NEAR(moments.variance, drawn_variance, 0.003);
  }
}

TEST(MomentsTest, DerivativesAreThoseOfDifferences) {
  constexpr double kStep = 1e-5;
  for (const auto& of : {ReluMoments, SigmoidMoments})
    for (const auto& [mean, variance] : kNormals) {
      const NormalMoments at = of(mean, variance);
      const NormalMoments right = of(mean + kStep, variance), left = of(mean - kStep, variance);
      EXPECT_NEAR(at.mean_by_mean, (right.mean - left.mean) / (2 * kStep), 1e-6);
      EXPECT_NEAR(at.variance_by_mean, (right.variance - left.variance) / (2 * kStep), 1e-6);
      const NormalMoments wider = of(mean, variance + kStep), narrower = of(mean, variance - kStep);
      EXPECT_NEAR(at.mean_by_variance, (wider.mean - narrower.mean) / (2 * kStep), 1e-6);
      EXPECT_NEAR(at.variance_by_variance, (wider.variance - narrower.variance) / (2 * kStep), 1e-6);
    }
}

// 60 points of the square; a score that rises to one corner, and is noisier there.
struct Data {
  Eigen::MatrixXd points{2, 60};
  Eigen::RowVectorXd targets{60};

  Data() {
    Random random(3);
    for (int i = 0; i < 60; ++i) {
      points(0, i) = random.Uniform(), points(1, i) = random.Uniform();
      targets[i] = 0.2 + 0.5 * points(0, i) * points(1, i) + 0.1 * points(0, i) * (random.Uniform() - 0.5);
    }
  }
};

template <typename Value>
void ExpectGradient(const Value& value, const Eigen::VectorXd& at) {
  constexpr double kStep = 1e-5;
  Eigen::VectorXd gradient = Eigen::VectorXd::Zero(at.size()), unused = gradient;
  value(at, &gradient);
  for (Eigen::Index i = 0; i < at.size(); ++i) {
    const Eigen::VectorXd step = kStep * Eigen::VectorXd::Unit(at.size(), i);
    EXPECT_NEAR(gradient[i], (value(at + step, &unused) - value(at - step, &unused)) / (2 * kStep), 1e-6);
  }
}

double Baseline(const Eigen::RowVectorXd& targets) {
  return (targets.array() - targets.mean()).square().mean();
}

TEST(PerceptronTest, LearnsAndHasItsGradient) {
  const Data data;
  Perceptron network(2, 0, Random(1));
  network.Fit(data.points, data.targets, 200, Random(2));
  EXPECT_LT((network.Predict(data.points) - data.targets).squaredNorm() / 60, 0.2 * Baseline(data.targets));
  ExpectGradient(
      [&](const Eigen::VectorXd& at, Eigen::VectorXd* gradient) { return network.Gradient(at, 1, gradient); },
      Eigen::Vector2d(0.4, 0.7));
  EXPECT_LT(network.DropoutDeviation(data.points, 10, Random(4)).maxCoeff(), 1e-7);
}

TEST(PerceptronTest, DropoutIsUncertainFarFromTheData) {
  const Data data;
  Perceptron network(2, 0.3, Random(1));
  network.Fit(data.points, data.targets, 200, Random(2));
  Eigen::MatrixXd far = data.points;
  far.array() += 3;
  EXPECT_GT(network.DropoutDeviation(data.points, 10, Random(4)).minCoeff(), 0);
  EXPECT_GT(network.DropoutDeviation(far, 100, Random(4)).mean(),
            network.DropoutDeviation(data.points, 100, Random(4)).mean());
}

TEST(NaturalParameterNetworkTest, LearnsAndHasItsGradient) {
  const Data data;
  NaturalParameterNetwork network(2, Random(1));
  network.Fit(data.points, data.targets, 200, Random(2));
  const auto [mean, variance] = network.Predict(data.points);
  EXPECT_LT((mean - data.targets).squaredNorm() / 60, 0.4 * Baseline(data.targets));
  EXPECT_GT(variance.minCoeff(), 0);
  ExpectGradient([&](const Eigen::VectorXd& at,
                     Eigen::VectorXd* gradient) { return network.Gradient(at, 0.5, gradient); },
                 Eigen::Vector2d(0.4, 0.7));
}

TEST(FitByAdamTest, KeepsWhatIsBestOnHeldOutPoints) {
  // The gradient leads away from the least loss: the beginning is kept.
  Parameters parameters = {Eigen::MatrixXd::Constant(1, 1, 1.0)};
  int batches = 0;
  FitByAdam(
      10, 100, Random(1), &parameters,
      [&](const std::vector<int>&, Parameters* gradients) { (*gradients)[0](0, 0) = -1, ++batches; },
      [&](const std::vector<int>& held_out) {
        EXPECT_EQ(held_out.size(), 2u);
        return parameters[0](0, 0);
      });
  EXPECT_EQ(parameters[0](0, 0), 1.0);
  EXPECT_EQ(batches, 7 * 8);
}

TEST(ClimbTest, FindsTheTopWithinItsRegion) {
  const auto hill = [](const Eigen::VectorXd& at, Eigen::VectorXd* gradient) {
    const Eigen::VectorXd off = at - Eigen::Vector3d(0.6, 0.1, 0.95);
    const Eigen::Vector3d curvature(1, 10, 4);
    *gradient -= 2 * curvature.cwiseProduct(off);
    return -off.cwiseAbs2().dot(curvature);
  };
  const Eigen::VectorXd top = Climb(Eigen::Vector3d(0.5, 0.2, 0.9), hill, Random(1));
  EXPECT_LT((top - Eigen::Vector3d(0.6, 0.1, 0.95)).norm(), 0.02);
  // As far as a quarter of the cube, and not out of it.
  const Eigen::VectorXd edge = Climb(Eigen::Vector3d(0.1, 0.9, 1), hill, Random(1));
  EXPECT_NEAR(edge[0], 0.35, 1e-6);
  EXPECT_NEAR(edge[1], 0.65, 1e-6);
}

}  // namespace
}  // namespace thimble::search
