#include "search/learners/gaussian_process.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/random.h"

namespace thimble::search {
namespace {

using nlohmann::json;

json Golden() { return json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/gaussian_process.json")); }

Eigen::MatrixXd AsColumns(const json& points) {
  Eigen::MatrixXd columns(points[0].size(), points.size());
  for (size_t i = 0; i < points.size(); ++i)
    for (size_t k = 0; k < points[i].size(); ++k)
      columns(static_cast<long>(k), static_cast<long>(i)) = points[i][k];
  return columns;
}

Eigen::VectorXd AsVector(const json& numbers) {
  const auto all = numbers.get<std::vector<double>>();
  return Eigen::Map<const Eigen::VectorXd>(all.data(), static_cast<long>(all.size()));
}

TEST(GaussianProcessTest, PosteriorIsScikitLearns) {
  for (const auto& each : Golden()["cases"]) {
    const GaussianProcess process(
        AsColumns(each["points"]), AsVector(each["values"]), AsVector(each["known"]),
        {.variance = each["variance"], .length = each["length"], .noise = each["noise"]});
    EXPECT_NEAR(process.LogLikelihood(), each["log_likelihood"].get<double>(), 1e-5);
    const auto [mean, deviation] = process.At(AsColumns(each["at"]));
    EXPECT_LT((mean - AsVector(each["mean"])).cwiseAbs().maxCoeff(), 1e-6);
    EXPECT_LT((deviation - AsVector(each["deviation"])).cwiseAbs().maxCoeff(), 1e-6);
  }
}

TEST(GaussianProcessTest, FindsTheMostLikelyParameters) {
  for (const auto& each : Golden()["cases"]) {
    const auto points = AsColumns(each["points"]);
    const auto values = AsVector(each["values"]), known = AsVector(each["known"]);
    const GaussianProcess process(points, values, known, GaussianProcess::MostLikely(points, values, known));
    EXPECT_NEAR(process.LogLikelihood(), each["most_likely"].get<double>(), 0.05);
  }
}

TEST(GaussianProcessTest, BelievingIsObservingTheMean) {
  const auto golden = Golden();
  const auto& each = golden["cases"][1];
  const GaussianProcess::Parameters parameters{.variance = 2.5, .length = 1.2, .noise = 0.1};
  const Eigen::MatrixXd points = AsColumns(each["points"]), at = AsColumns(each["at"]);
  const Eigen::VectorXd values = AsVector(each["values"]), known = AsVector(each["known"]);
  const GaussianProcess process(points, values, known, parameters);
  GaussianProcess::Believer believer(process, at);
  const auto before = believer.posterior();
  believer.Believe(3);
  believer.Believe(5);

  Eigen::MatrixXd more(points.rows(), points.cols() + 2);
  more << points, at.col(3), at.col(5);
  Eigen::VectorXd more_values(values.size() + 2), more_known(values.size() + 2);
  more_values << values, before.mean[3], before.mean[5];
  more_known << known, 0, 0;
  const auto after = GaussianProcess(more, more_values, more_known, parameters).At(at);
  EXPECT_LT((after.mean - believer.posterior().mean).cwiseAbs().maxCoeff(), 1e-6);
  EXPECT_LT((after.deviation - believer.posterior().deviation).cwiseAbs().maxCoeff(), 1e-6);
  EXPECT_LT(believer.posterior().deviation[3], before.deviation[3]);
}

TEST(GaussianProcessTest, EqualPointsAndValuesAreNoMatter) {
  const Eigen::MatrixXd points = Eigen::MatrixXd::Constant(3, 6, 0.5);
  const Eigen::VectorXd values = Eigen::VectorXd::Zero(6);
  const GaussianProcess process(points, values, values, GaussianProcess::MostLikely(points, values, values));
  const auto [mean, deviation] = process.At(points);
  EXPECT_NEAR(mean[0], 0, 1e-9);
  EXPECT_TRUE(std::isfinite(deviation[0]));
}

TEST(GaussianProcessTest, ExpectedImprovementIsTheMeanOfWhatIsGained) {
  Random random(1);
  double sum = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) sum += std::max(0.0, 0.3 + 0.7 * random.Normal() - 0.5);
  EXPECT_NEAR(ExpectedImprovement(0.3, 0.7, 0.5), sum / kDraws, 0.003);
  EXPECT_EQ(ExpectedImprovement(0.7, 0, 0.5), 0.7 - 0.5);
  EXPECT_EQ(ExpectedImprovement(0.3, 0, 0.5), 0);
}

}  // namespace
}  // namespace thimble::search
