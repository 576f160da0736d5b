// BOSHNAS. Tuli et al., JAIR 2023 (FlexiBERT): three networks on Encoding::Scaled, fitted anew at every
// round. A natural-parameter network gives a score's mean and its aleatoric deviation; a perceptron with
// dropout (the teacher) gives the epistemic deviation, which a second perceptron (the student) learns, so
// that it has a gradient. A query climbs
//
//   mean + 0.5 aleatoric deviation + 0.5 epistemic deviation
//
// by second-order gradient ascent (Climb) from each of several points, and proposes the candidate that is
// nearest to the highest end by mean absolute difference: among random ones and neighbours of where it began
// and of the best. Some proposals are those of which the networks are least certain, some are drawn.
//
// As published: sizes, dropout, targets in (0, 1), losses, ten dropout passes, an 80 to 20 split, epochs, the
// query's settings. What differs: one rate for all networks and small batches (FitByAdam) in place of single
// examples; half of a query's beginnings are the best candidates; the student learns on random candidates,
// too.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "search/learners/encoding.h"
#include "search/learners/scored_window.h"
#include "search/learners/surrogates.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr int kPool = 512, kNeighbours = 16;  // random candidates; neighbours of each beginning
constexpr double kWeight = 0.5;               // of both deviations
constexpr int kDrawnForStudent = 256;         // of the pool
constexpr double kDropout = 0.3;
constexpr int kPasses = 10;

struct Surrogates {
  NaturalParameterNetwork scores;
  Perceptron epistemic;

  // Of what a query climbs.
  double Value(const Eigen::VectorXd& point, Eigen::VectorXd* gradient) const {
    return scores.Gradient(point, kWeight, gradient) + kWeight * epistemic.Gradient(point, kWeight, gradient);
  }
  Eigen::RowVectorXd Uncertainty(const Eigen::MatrixXd& points) const {
    return scores.Predict(points).variance.cwiseSqrt() + epistemic.Predict(points);
  }
};

// Candidates with their encodings; those that were taken are passed over.
struct Pool {
  std::vector<proto::Architecture> candidates;
  Eigen::MatrixXd points;  // columns; more than there are candidates
  std::vector<bool> taken;

  void Add(const Encoding& encoding, std::optional<proto::Architecture> candidate) {
    if (!candidate) return;
    const auto at = static_cast<Eigen::Index>(candidates.size());
    if (at >= points.cols())
      points.conservativeResize(encoding.width(), std::max<Eigen::Index>(kPool, 2 * at));
    points.col(at) = ToVector(encoding.Scaled(*candidate));
    candidates.push_back(std::move(*candidate));
    taken.push_back(false);
  }
  Eigen::MatrixXd All() const { return points.leftCols(static_cast<Eigen::Index>(candidates.size())); }
};

class Boshnas final : public Strategy {
 public:
  Boshnas(const proto::Boshnas& spec, const StageSpace& space, Random random)
      : spec_(spec),
        novelty_(space, random),
        encoding_(space),
        window_(spec.window()),
        seed_(random.Fork("networks")) {}

  std::vector<proto::Architecture> Suggest(int count) override {
    std::vector<proto::Architecture> suggestions;
    const bool learnt = window_.added() >= spec_.initial() && encoding_.width() > 0;
    std::optional<Surrogates> surrogates;
    Pool pool;
    while (static_cast<int>(suggestions.size()) < count) {
      std::optional<proto::Architecture> candidate;
      std::string origin = "drawn";
      const double kind = novelty_.stream()->Uniform();
      if (learnt && kind >= spec_.random()) {
        if (!surrogates) {
          for (int i = 0; i < kPool; ++i) pool.Add(encoding_, novelty_.space().Sample(novelty_.stream()));
          if (!pool.candidates.empty()) surrogates = Fit(pool.All());
        }
        const bool uncertain = kind < spec_.random() + spec_.uncertain();
        if (surrogates) candidate = uncertain ? LeastCertain(*surrogates, &pool) : Query(*surrogates, &pool);
        if (candidate) origin = uncertain ? "uncertain" : "query";
      }
      if (!candidate) candidate = novelty_.Sample();
      if (!candidate) break;
      origins_[models::CanonicalArchitecture(*candidate)] = origin;
      suggestions.push_back(std::move(*candidate));
    }
    return suggestions;
  }

  std::string Origin(const proto::Architecture& suggestion) const override {
    const auto found = origins_.find(models::CanonicalArchitecture(suggestion));
    return found == origins_.end() ? "" : found->second;
  }

  void Observe(const std::vector<Trial>& trials) override {
    if (trials.empty()) return;
    novelty_.Observe(trials);
    origins_.clear();
    for (const Trial& trial : trials)
      if (trial.state == TrialState::kComplete && !std::isnan(trial.value))
        window_.Add({trial.architecture, ToVector(encoding_.Scaled(trial.architecture)), trial.value,
                     trial.standard_error});
  }

 private:
  Surrogates Fit(const Eigen::MatrixXd& drawn) const {
    const Standardised data = Standardise(window_.All());
    // To (0, 1), with room at both ends: a sigmoid reaches neither.
    const double low = data.values.minCoeff(), range = data.values.maxCoeff() - low;
    const Eigen::RowVectorXd targets =
        (0.1 + 0.8 * (data.values.array() - low) / (range > 0 ? range : 1)).matrix().transpose();
    const auto inputs = static_cast<int>(data.points.rows());
    const Random seed = seed_.Fork("round", window_.added());

    NaturalParameterNetwork scores(inputs, seed.Fork("scores"));
    scores.Fit(data.points, targets, spec_.epochs(), seed.Fork("scores", 1));
    Perceptron teacher(inputs, kDropout, seed.Fork("teacher"));
    teacher.Fit(data.points, targets, spec_.epochs(), seed.Fork("teacher", 1));
    const auto learnt_from = std::min<Eigen::Index>(kDrawnForStudent, drawn.cols());
    Eigen::MatrixXd all(inputs, data.points.cols() + learnt_from);
    all << data.points, drawn.leftCols(learnt_from);
    Perceptron student(inputs, 0, seed.Fork("student"));
    student.Fit(all, teacher.DropoutDeviation(all, kPasses, seed.Fork("passes")), spec_.epochs(),
                seed.Fork("student", 1));
    return {std::move(scores), std::move(student)};
  }

  // The first new one in the order of `rank`, least first.
  std::optional<proto::Architecture> First(const Eigen::RowVectorXd& rank, Pool* pool) {
    while (true) {
      int first = -1;
      for (size_t i = 0; i < pool->candidates.size(); ++i)
        if (!pool->taken[i] && (first < 0 || rank[static_cast<Eigen::Index>(i)] < rank[first]))
          first = static_cast<int>(i);
      if (first < 0) return std::nullopt;
      pool->taken[first] = true;
      if (novelty_.Claim(pool->candidates[first])) return pool->candidates[first];
    }
  }

  std::optional<proto::Architecture> LeastCertain(const Surrogates& surrogates, Pool* pool) {
    return First(-surrogates.Uncertainty(pool->All()), pool);
  }

  std::optional<proto::Architecture> Query(const Surrogates& surrogates, Pool* pool) {
    Random* stream = novelty_.stream();
    const auto value = [&](const Eigen::VectorXd& point, Eigen::VectorXd* gradient) {
      return surrogates.Value(point, gradient);
    };
    const auto best = window_.Best((spec_.restarts() + 1) / 2);
    Eigen::VectorXd highest, unused = Eigen::VectorXd::Zero(encoding_.width());
    double most = -HUGE_VAL;
    for (int i = 0; i < spec_.restarts(); ++i) {
      std::optional<proto::Architecture> start;
      if (i / 2 < static_cast<int>(best.size()) && i % 2 == 0)
        start = best[i / 2]->architecture;
      else
        start = novelty_.space().Sample(stream);
      if (!start) continue;
      const Eigen::VectorXd end = Climb(ToVector(encoding_.Scaled(*start)), value, Random(stream->Next()));
      const double reached = value(end, &unused);
      if (reached > most) most = reached, highest = end;
      for (int k = 0; k < kNeighbours; ++k) pool->Add(encoding_, novelty_.space().Mutate(*start, stream));
      pool->Add(encoding_, std::move(start));
    }
    if (highest.size() == 0) return std::nullopt;
    return First((pool->All().colwise() - highest).cwiseAbs().colwise().sum(), pool);
  }

  proto::Boshnas spec_;
  Novelty novelty_;
  Encoding encoding_;
  ScoredWindow window_;
  Random seed_;
  std::map<std::string, std::string>
      origins_;  // of what was suggested since the last Observe, by canonical form
};

void Check(const proto::Stage& stage, const std::string& where) {
  const auto& boshnas = stage.strategy().boshnas();
  if (boshnas.uncertain() + boshnas.random() > 1)
    throw BadRequest(where + ".uncertain", "more than there is beside the drawn ones",
                     std::to_string(boshnas.uncertain()), "at most " + std::to_string(1 - boshnas.random()));
}

}  // namespace

StrategyEntry boshnas() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random,
                     StageInput) -> std::unique_ptr<Strategy> {
            return std::make_unique<Boshnas>(spec.boshnas(), space, random);
          },
          .check = Check};
}

}  // namespace thimble::search
