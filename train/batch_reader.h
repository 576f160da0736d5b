// The order in which training reads its data, and the part of it that is in memory.
#pragma once
#include <cstdint>
#include <future>
#include <vector>

#include "data/dataset.h"
#include "proto/task.pb.h"

namespace thimble::train {

// A dataset is planned as a whole (data::PlanBatches). A corpus is read block by block: the blocks are
// shuffled, each is planned by itself, and the next one is read while a block is trained on. The order is a
// function of data, batching, seed and epoch, so that a position in it is two numbers: epoch and batch.
class BatchReader {
 public:
  BatchReader(const data::Dataset& data, const proto::Batching& batching, uint64_t seed);
  ~BatchReader();
  BatchReader(const BatchReader&) = delete;
  BatchReader& operator=(const BatchReader&) = delete;

  int64_t rows() const { return static_cast<int64_t>(data_.size()); }
  int64_t batches() const { return batches_; }  // of an epoch

  struct Rows {
    const data::Dataset* data;
    const std::vector<int>* rows;
  };
  // Valid until the next call.
  Rows At(int epoch, int64_t batch);
  int64_t RowsBefore(int epoch, int64_t batch);  // of that epoch

 private:
  struct Part {
    data::Dataset data;  // of a corpus; empty without one
    std::vector<std::vector<int>> plan;
  };
  void Begin(int epoch);
  void Enter(size_t place);
  Part Read(int epoch, size_t block) const;
  int64_t BatchesOf(size_t block) const;

  const data::Dataset& data_;
  const proto::Batching batching_;
  const uint64_t seed_;
  int64_t batches_ = 0;
  int epoch_ = -1;
  std::vector<size_t> order_;    // of the blocks, this epoch
  std::vector<int64_t> firsts_;  // the first batch of each place in the order, and one past the last
  size_t place_ = SIZE_MAX;      // in the order
  Part part_;
  std::future<Part> next_;
  size_t next_place_ = SIZE_MAX;
};

}  // namespace thimble::train
