// Learned action space. Dong et al., EMNLP Findings 2021 (EfficientBERT), after Wang et al., TPAMI 2021
// (LaNAS): a binary tree halves the scored candidates at their median, again and again; each of its nodes has
// a classifier that tells the better half from the worse. A walk from the root chooses halves, and a proposal
// is kept if the classifier of every node on the way says it is of the chosen one. As published: features
// (Encoding::Published), the number of trials before the first tree and between trees, the tree's height, the
// split of 80 to 20, 100 rounds, hyper-parameters by 10 trials, up to 20,000 proposals, then any new
// candidate.
//
// GREEDY always takes the better half. The released code does the same: its "upper confidence bound" is a
// half's median less the worse one's. VISITS takes the half with the greater
//
//   mean score + exploration * s * sqrt(2 ln N / n),
//
// s being the deviation of all scores, N the visits of the node, n those of the half: the candidates that the
// tree was built from by their scores, later ones and what was suggested since the last Observe where the
// classifiers put them.
//
// What differs: XGBoost in place of LightGBM; of more than 4,096 candidates of a node every k-th is learnt
// from; a classifier that is no better than a coin on what was held out is fitted anew four times, with other
// rows held out, and then keeps everything.
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/number_text.h"
#include "models/arch/architecture.h"
#include "search/learners/boosted_trees.h"
#include "search/learners/encoding.h"
#include "search/strategy.h"

namespace thimble::search {
namespace {

constexpr int kMostRows = 4096;
constexpr int kFits = 5;
constexpr size_t kFewest = 10;  // candidates of a node that is split
constexpr int kFirstHeight = 400;
constexpr int kBatch = 32;  // proposals that are classified at once
// Of a stage of few points, draws for each: more would be of those that are known.
constexpr double kDrawsOfAPoint = 4;

struct Node {
  std::vector<int> members;  // places among the scored candidates
  bool looked_at = false;    // whether it is split has been found out
  std::optional<HeldOutTrees> classifier;
  std::unique_ptr<Node> better, worse;  // with a classifier
  double threshold = 0;                 // between its halves
  double visits = 0, scored = 0, sum = 0;

  Node(std::vector<int> places, const std::vector<double>& scores) : members(std::move(places)) {
    for (const int i : members) Visit(scores[i]);
  }
  void Visit(double score) { ++visits, ++scored, sum += score; }
  Node* half(bool better_one) const { return better_one ? better.get() : worse.get(); }
};

class LearnedActionSpace final : public Strategy {
 public:
  LearnedActionSpace(const proto::LearnedActionSpace& spec, const StageSpace& space, Random random)
      : spec_(spec), novelty_(space, random), seed_(random.Fork("classifiers")), encoding_(space) {
    features_.columns = static_cast<int>(encoding_.Published(space.base()).size());
  }

  std::vector<proto::Architecture> Suggest(int count) override {
    if (features_.columns > 0 && static_cast<int>(scores_.size()) >= spec_.initial()) Build();
    return novelty_.Propose(count, [this]() -> std::optional<proto::Architecture> {
      if (!root_) return std::nullopt;
      auto candidate = Learned();
      if (candidate) learned_.insert(models::CanonicalArchitecture(*candidate));
      return candidate;
    });
  }

  std::string Origin(const proto::Architecture& suggestion) const override {
    return learned_.count(models::CanonicalArchitecture(suggestion)) > 0 ? "learned" : "drawn";
  }

  // "rules of 480 scores: better than 0.71 (68% right on what was held out), better than 0.74 (...)": the way
  // of the better halves.
  std::string Explain() const override {
    if (!root_) return "";
    std::string text = "rules of " + std::to_string(built_from_) + " scores";
    int depth = 0;
    for (const Node* node = root_.get(); node->classifier; node = node->better.get(), ++depth)
      text += (depth == 0 ? ": better than " : ", better than ") + FourDigits(node->threshold) + " (" +
              FourDigits(100 * node->classifier->accuracy) + "% right on what was held out)";
    return depth == 0 ? text + " tell nothing apart" : text;
  }

  void Observe(const std::vector<Trial>& trials) override {
    if (trials.empty()) return;
    novelty_.Observe(trials);
    for (const Trial& trial : trials) {
      if (trial.state != TrialState::kComplete || std::isnan(trial.value)) continue;
      features_.Add(encoding_.Published(trial.architecture).data());
      scores_.push_back(trial.value);
    }
    learned_.clear();
    for (Node* node : suggested_) --node->visits;
    suggested_.clear();
  }

 private:
  // The tree is of the candidates up to the last time that it was due, however many have come since: a search
  // that goes on where it stopped has the same.
  void Build() {
    const auto scored = static_cast<int>(scores_.size());
    const int due = spec_.initial() + (scored - spec_.initial()) / spec_.rebuild() * spec_.rebuild();
    if (built_from_ != due) {
      built_from_ = routed_ = due;
      height_ = 1;
      for (int64_t most = kFirstHeight; most < due && height_ < spec_.max_height(); most *= 2) ++height_;
      std::vector<int> all(due);
      double sum = 0, squares = 0;
      for (int i = 0; i < due; ++i) all[i] = i, sum += scores_[i];
      for (int i = 0; i < due; ++i) squares += (scores_[i] - sum / due) * (scores_[i] - sum / due);
      deviation_ = std::sqrt(squares / due);
      root_ = std::make_unique<Node>(std::move(all), scores_);
    }
    if (spec_.walk() == proto::LearnedActionSpace::GREEDY) return;
    for (; routed_ < scored; ++routed_) {
      Rows row{.columns = features_.columns};
      row.Add(features_.row(routed_));
      Node* node = root_.get();
      node->Visit(scores_[routed_]);
      for (int depth = 0; depth < height_ && IsSplit(node, depth); ++depth) {
        node = node->half(node->classifier->trees.Predict(row)[0] > 0.5f);
        node->Visit(scores_[routed_]);
      }
    }
  }

  bool IsSplit(Node* node, int depth) {
    if (!node->looked_at) {
      node->looked_at = true;
      Split(node, depth);
    }
    return node->classifier.has_value();
  }

  void Split(Node* node, int depth) {
    const std::vector<int>& members = node->members;
    if (members.size() < kFewest) return;
    std::vector<double> sorted;
    for (const int i : members) sorted.push_back(scores_[i]);
    std::sort(sorted.begin(), sorted.end());
    double threshold = 0.5 * (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]);
    // Where half of them share the best score, those below it are the worse ones.
    if (threshold == sorted.back()) {
      const auto first = std::lower_bound(sorted.begin(), sorted.end(), sorted.back());
      if (first == sorted.begin()) return;  // all alike
      threshold = *(first - 1);
    }
    std::vector<int> halves[2];
    for (const int i : members) halves[scores_[i] > threshold].push_back(i);
    if (halves[0].size() < 2 || halves[1].size() < 2) return;

    const size_t step = (members.size() + kMostRows - 1) / kMostRows;
    Rows rows{.columns = features_.columns};
    std::vector<float> labels;
    for (size_t i = 0; i < members.size(); i += step) {
      rows.Add(features_.row(members[i]));
      labels.push_back(scores_[members[i]] > threshold);
    }
    for (const float label : {0.0f, 1.0f})
      if (std::count(labels.begin(), labels.end(), label) < 2) return;
    for (int fit = 0; fit < kFits; ++fit) {
      // The first member tells nodes of one height apart.
      const Random random =
          seed_.Fork("tree", built_from_).Fork("node", depth).Fork("first", members.front()).Fork("fit", fit);
      auto classifier = FitTuned(rows, labels, spec_.tuning(), random);
      if (classifier.accuracy <= 0.5) continue;
      node->classifier = std::move(classifier);
      node->threshold = threshold;
      node->worse = std::make_unique<Node>(std::move(halves[0]), scores_);
      node->better = std::make_unique<Node>(std::move(halves[1]), scores_);
      return;
    }
  }

  bool ToTheBetter(const Node& node) const {
    if (spec_.walk() == proto::LearnedActionSpace::GREEDY) return true;
    const auto bound = [&](const Node& half) {
      return half.sum / half.scored +
             spec_.exploration() * deviation_ * std::sqrt(2 * std::log(node.visits) / half.visits);
    };
    return bound(*node.better) >= bound(*node.worse);
  }

  // The first new proposal that is of the chosen half all the way; nullopt: there was none, or there is no
  // rule yet.
  std::optional<proto::Architecture> Learned() {
    std::vector<std::pair<Node*, bool>> way;
    Node* last = root_.get();
    for (int depth = 0; depth < height_ && IsSplit(last, depth); ++depth) {
      way.emplace_back(last, ToTheBetter(*last));
      last = last->half(way.back().second);
    }
    if (way.empty()) return std::nullopt;

    const double points = novelty_.space().Points();
    const int most =
        points > 0 ? static_cast<int>(std::min<double>(spec_.proposals(), std::ceil(kDrawsOfAPoint * points)))
                   : spec_.proposals();
    for (int tried = 0; tried < most; tried += kBatch) {
      std::vector<proto::Architecture> proposals;
      for (int i = 0; i < std::min(kBatch, most - tried); ++i)
        if (auto proposal = novelty_.space().Sample(novelty_.stream()))
          proposals.push_back(std::move(*proposal));
      for (const auto& [node, better] : way) {
        Rows rows{.columns = features_.columns};
        for (const auto& proposal : proposals) rows.Add(encoding_.Published(proposal).data());
        const std::vector<float> predicted = node->classifier->trees.Predict(rows);
        std::vector<proto::Architecture> kept;
        for (size_t i = 0; i < proposals.size(); ++i)
          if ((predicted[i] > 0.5f) == better) kept.push_back(std::move(proposals[i]));
        proposals = std::move(kept);
      }
      for (auto& proposal : proposals) {
        if (!novelty_.Claim(proposal)) continue;
        for (const auto& [node, better] : way) suggested_.push_back(node);
        suggested_.push_back(last);
        for (size_t i = suggested_.size() - way.size() - 1; i < suggested_.size(); ++i)
          ++suggested_[i]->visits;
        return std::move(proposal);
      }
    }
    return std::nullopt;
  }

  proto::LearnedActionSpace spec_;
  Novelty novelty_;
  Random seed_;
  Encoding encoding_;
  Rows features_;  // of scored candidates, in order
  std::vector<double> scores_;
  std::unique_ptr<Node> root_;
  int built_from_ = 0, routed_ = 0;  // how many of them the tree was built from, and has been shown
  int height_ = 1;
  double deviation_ = 0;
  std::vector<Node*> suggested_;             // visited by what was suggested since the last Observe
  std::unordered_set<std::string> learned_;  // of that, what the tree has chosen; canonical forms
};

}  // namespace

StrategyEntry learned_action_space() {
  return {.make = [](const proto::Strategy& spec, const StageSpace& space, Random random,
                     StageInput) -> std::unique_ptr<Strategy> {
    return std::make_unique<LearnedActionSpace>(spec.learned_action_space(), space, random);
  }};
}

}  // namespace thimble::search
