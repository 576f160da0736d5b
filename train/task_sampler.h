// The order of a run's batches: which source each is of, and which of that source's batches.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "proto/task.pb.h"
#include "train/batch_reader.h"

namespace thimble::train {

// An epoch has as many batches as its sources have together. Of these a source gets a share in proportion to
// weight * batches^exponent, rounded by largest remainders and at least one, in an order shuffled anew for
// every epoch. A source's batches come in the order of its feed, pass after pass, going on from one epoch to
// the next. With one source this is the feed's own order.
class TaskSampler {
 public:
  struct Part {
    const data::Dataset* data;
    double weight;  // above 0
  };
  // CHECK: no part is empty.
  TaskSampler(const std::vector<Part>& parts, double exponent, const proto::Batching& batching,
              uint64_t seed);

  int64_t batches() const { return batches_; }                    // of an epoch
  const std::vector<int64_t>& quotas() const { return quotas_; }  // of them, each source's

  struct Turn {
    size_t source;
    BatchReader::Rows rows;
  };
  Turn At(int epoch, int64_t batch);             // rows are valid until the next call
  int64_t RowsBefore(int epoch, int64_t batch);  // of the whole run

 private:
  void Begin(int epoch);

  std::vector<std::unique_ptr<BatchReader>> feeds_;
  std::vector<int64_t> quotas_;
  const uint64_t seed_;
  int64_t batches_ = 0;
  int epoch_ = -1;
  std::vector<uint32_t> order_;  // the source of each batch of this epoch
  std::vector<int64_t> turns_;   // how many of the epoch's batches before it are of the same source
};

}  // namespace thimble::train
