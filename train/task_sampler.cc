#include "train/task_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace thimble::train {
namespace {

// Whole numbers that add up to `total`, in proportion to `shares`: largest remainders, at least 1 each.
std::vector<int64_t> Divide(int64_t total, const std::vector<double>& shares) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<int64_t> parts;
  std::vector<std::pair<double, size_t>> remainders;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double exact = static_cast<double>(total) * (shares[i] / sum);
    parts.push_back(std::max<int64_t>(1, static_cast<int64_t>(exact)));
    remainders.emplace_back(static_cast<double>(parts.back()) - exact, i);
  }
  std::sort(remainders.begin(), remainders.end());  // those that got least of what is theirs come first
  int64_t rest = total - std::accumulate(parts.begin(), parts.end(), int64_t{0});
  for (size_t k = 0; rest > 0; k = (k + 1) % remainders.size(), --rest) ++parts[remainders[k].second];
  for (; rest < 0; ++rest) --*std::max_element(parts.begin(), parts.end());
  return parts;
}

}  // namespace

TaskSampler::TaskSampler(const std::vector<Part>& parts, double exponent, const proto::Batching& batching,
                         uint64_t seed)
    : seed_(seed) {
  THIMBLE_CHECK(!parts.empty(), "nothing to mix");
  std::vector<double> shares;
  for (const Part& part : parts) {
    feeds_.push_back(std::make_unique<BatchReader>(*part.data, batching, seed));
    const int64_t batches = feeds_.back()->batches();
    THIMBLE_CHECK(batches > 0 && part.weight > 0, std::to_string(part.weight));
    batches_ += batches;
    shares.push_back(part.weight * std::pow(static_cast<double>(batches), exponent));
  }
  quotas_ = Divide(batches_, shares);
}

void TaskSampler::Begin(int epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  order_.clear();
  for (size_t source = 0; source < feeds_.size(); ++source)
    order_.insert(order_.end(), quotas_[source], static_cast<uint32_t>(source));
  if (feeds_.size() > 1) Random(seed_).Fork("mixture", static_cast<uint64_t>(epoch)).Shuffle(order_);
  turns_.clear();
  std::vector<int64_t> seen(feeds_.size(), 0);
  for (const uint32_t source : order_) turns_.push_back(seen[source]++);
}

TaskSampler::Turn TaskSampler::At(int epoch, int64_t batch) {
  THIMBLE_CHECK(batch >= 0 && batch < batches_, std::to_string(batch));
  Begin(epoch);
  const size_t source = order_[batch];
  BatchReader& feed = *feeds_[source];
  const int64_t turn = epoch * quotas_[source] + turns_[batch];
  return {source, feed.At(static_cast<int>(turn / feed.batches()), turn % feed.batches())};
}

int64_t TaskSampler::RowsBefore(int epoch, int64_t batch) {
  std::vector<int64_t> turns;
  for (const int64_t quota : quotas_) turns.push_back(epoch * quota);
  if (batch > 0) Begin(epoch);
  for (int64_t b = 0; b < batch; ++b) ++turns[order_[b]];
  int64_t rows = 0;
  for (size_t source = 0; source < feeds_.size(); ++source) {
    BatchReader& feed = *feeds_[source];
    const int64_t passes = turns[source] / feed.batches();
    rows += passes * feed.rows() + feed.RowsBefore(static_cast<int>(passes), turns[source] % feed.batches());
  }
  return rows;
}

}  // namespace thimble::train
