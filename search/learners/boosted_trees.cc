#include "search/learners/boosted_trees.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "base/error.h"
#include "search/learners/parzen.h"

namespace thimble::search {
namespace {

constexpr int kRounds = 100;
constexpr double kHeldOut = 0.2;

void Check(int status) { THIMBLE_CHECK(status == 0, XGBGetLastError()); }

// What XGBoost reads an array from.
std::string ArrayInterface(const Rows& rows) {
  return "{\"data\": [" + std::to_string(reinterpret_cast<uintptr_t>(rows.values.data())) +
         ", true], \"shape\": [" + std::to_string(rows.count()) + ", " + std::to_string(rows.columns) +
         "], \"typestr\": \"<f4\", \"version\": 3}";
}

// From a point of the unit cube. EfficientBERT tunes the same eight.
BoostedTrees::Options OptionsAt(const std::vector<double>& point) {
  const auto between = [&](int i, double low, double high) { return low + (high - low) * point[i]; };
  const auto by_factors = [&](int i, double low, double high) {
    return low * std::pow(high / low, point[i]);
  };
  return {.learning_rate = by_factors(0, 0.01, 0.3),
          .max_depth = static_cast<int>(std::lround(between(1, 2, 8))),
          .max_leaves = static_cast<int>(std::lround(by_factors(2, 4, 64))),
          .columns = between(3, 0.5, 1),
          .rows = between(4, 0.5, 1),
          .l1 = by_factors(5, 1e-3, 10),
          .l2 = by_factors(6, 1e-3, 10),
          .child_weight = by_factors(7, 0.1, 10)};
}
constexpr int kTuned = 8;

}  // namespace

BoostedTrees::BoostedTrees(const Rows& rows, const std::vector<float>& labels, const Options& options,
                           uint64_t seed) {
  DMatrixHandle created = nullptr;
  Check(
      XGDMatrixCreateFromDense(ArrayInterface(rows).c_str(), R"({"missing": NaN, "nthread": 1})", &created));
  const std::shared_ptr<void> data(created, XGDMatrixFree);
  Check(XGDMatrixSetFloatInfo(data.get(), "label", labels.data(), labels.size()));
  BoosterHandle booster = nullptr;
  Check(XGBoosterCreate(&created, 1, &booster));
  booster_.reset(booster, XGBoosterFree);
  const auto set = [&](const char* name, const std::string& value) {
    Check(XGBoosterSetParam(booster, name, value.c_str()));
  };
  set("objective", "binary:logistic");
  set("tree_method", "hist");
  set("grow_policy", options.max_leaves > 0 ? "lossguide" : "depthwise");
  set("nthread", "1");
  set("verbosity", "0");
  set("seed", std::to_string(seed >> 33));  // it reads 31 bits
  set("learning_rate", std::to_string(options.learning_rate));
  set("max_depth", std::to_string(options.max_depth));
  set("max_leaves", std::to_string(options.max_leaves));
  set("colsample_bytree", std::to_string(options.columns));
  set("subsample", std::to_string(options.rows));
  set("reg_alpha", std::to_string(options.l1));
  set("reg_lambda", std::to_string(options.l2));
  set("min_child_weight", std::to_string(options.child_weight));
  for (int round = 0; round < kRounds; ++round) Check(XGBoosterUpdateOneIter(booster, round, data.get()));
}

std::vector<float> BoostedTrees::Predict(const Rows& rows) const {
  if (rows.count() == 0) return {};
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  Check(XGBoosterPredictFromDense(
      booster_.get(), ArrayInterface(rows).c_str(),
      R"({"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false,
                                      "cache_id": 0, "missing": NaN})",
      nullptr, &shape, &dimensions, &result));
  return {result, result + rows.count()};
}

HeldOutTrees FitTuned(const Rows& rows, const std::vector<float>& labels, int tuning, Random random) {
  // Of either label: both halves have both.
  std::vector<bool> held_out(rows.count());
  for (const float label : {0.0f, 1.0f}) {
    std::vector<int> own;
    for (int i = 0; i < rows.count(); ++i)
      if (labels[i] == label) own.push_back(i);
    THIMBLE_CHECK(own.size() >= 2, std::to_string(own.size()));
    random.Shuffle(own);
    own.resize(std::max(1l, std::lround(kHeldOut * static_cast<double>(own.size()))));
    for (const int i : own) held_out[i] = true;
  }
  Rows parts[2] = {{.columns = rows.columns}, {.columns = rows.columns}};
  std::vector<float> part_labels[2];
  for (int i = 0; i < rows.count(); ++i) {
    parts[held_out[i]].Add(rows.row(i));
    part_labels[held_out[i]].push_back(labels[i]);
  }

  const uint64_t seed = random.Next();
  std::optional<HeldOutTrees> best;
  double least = HUGE_VAL;
  const auto fit = [&](const BoostedTrees::Options& options) {
    BoostedTrees trees(parts[0], part_labels[0], options, seed);
    const std::vector<float> predicted = trees.Predict(parts[1]);
    double loss = 0, right[2] = {}, all[2] = {};
    for (size_t i = 0; i < predicted.size(); ++i) {
      const bool above = part_labels[1][i] > 0;
      loss -= std::log(std::max(1e-6, above ? predicted[i] : 1.0 - predicted[i]));
      ++all[above];
      right[above] += (predicted[i] > 0.5f) == above;
    }
    if (loss < least) {
      least = loss;
      best = {std::move(trees), 0.5 * (right[0] / all[0] + right[1] / all[1])};
    }
    return loss;
  };
  if (tuning == 0) fit({});
  ParzenSearch search(kTuned, random.Fork("tuning"));
  for (int i = 0; i < tuning; ++i) {
    auto point = search.Ask();
    const double loss = fit(OptionsAt(point));
    search.Tell(std::move(point), loss);
  }
  return std::move(*best);
}

}  // namespace thimble::search
