#include "train/batch_reader.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "data/corpus.h"

namespace thimble::train {

BatchReader::BatchReader(const data::Dataset& data, const proto::Batching& batching, uint64_t seed)
    : data_(data), batching_(batching), seed_(seed) {
  const size_t blocks = data.corpus ? data.corpus->blocks() : 1;
  for (size_t block = 0; block < blocks; ++block) batches_ += BatchesOf(block);
}

BatchReader::~BatchReader() {
  if (next_.valid()) next_.wait();
}

int64_t BatchReader::BatchesOf(size_t block) const {
  const auto rows = static_cast<int64_t>(data_.corpus ? data_.corpus->BlockRows(block) : data_.size());
  return (rows + batching_.size() - 1) / batching_.size();
}

void BatchReader::Begin(int epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  place_ = SIZE_MAX;
  order_.resize(data_.corpus ? data_.corpus->blocks() : 1);
  std::iota(order_.begin(), order_.end(), 0);
  Random(seed_).Fork("blocks", static_cast<uint64_t>(epoch)).Shuffle(order_);
  firsts_ = {0};
  for (const size_t block : order_) firsts_.push_back(firsts_.back() + BatchesOf(block));
}

BatchReader::Part BatchReader::Read(int epoch, size_t block) const {
  Random random = Random(seed_).Fork("epoch", static_cast<uint64_t>(epoch));
  Part part;
  if (!data_.corpus) {
    part.plan = data::PlanBatches(data_, batching_, random);
    return part;
  }
  if (block > 0) random = random.Fork("block", block);  // a corpus of one block is read as a dataset is
  part.data = data_.corpus->Block(epoch, block);
  part.plan = data::PlanBatches(part.data, batching_, random);
  return part;
}

void BatchReader::Enter(size_t place) {
  if (place == place_) return;
  if (next_.valid()) {
    Part next = next_.get();
    if (next_place_ == place) {
      part_ = std::move(next);
      place_ = place;
    }
  }
  if (place_ != place) {
    part_ = {};  // before the other one is read: two at most are held
    part_ = Read(epoch_, order_[place]);
    place_ = place;
  }
  THIMBLE_CHECK(static_cast<int64_t>(part_.plan.size()) == firsts_[place + 1] - firsts_[place],
                "another number of batches");
  if (!data_.corpus || place + 1 == order_.size()) return;
  next_place_ = place + 1;
  next_ = std::async(std::launch::async,
                     [this, epoch = epoch_, block = order_[place + 1]] { return Read(epoch, block); });
}

BatchReader::Rows BatchReader::At(int epoch, int64_t batch) {
  THIMBLE_CHECK(batch >= 0 && batch < batches_, std::to_string(batch));
  if (epoch != epoch_ && next_.valid()) next_.get();
  Begin(epoch);
  const size_t place = std::upper_bound(firsts_.begin(), firsts_.end(), batch) - firsts_.begin() - 1;
  Enter(place);
  return {data_.corpus ? &part_.data : &data_, &part_.plan[batch - firsts_[place]]};
}

int64_t BatchReader::RowsBefore(int epoch, int64_t batch) {
  if (batch == 0) return 0;
  At(epoch, batch - 1);  // within its block a batch may be the small one
  int64_t rows = 0;
  for (size_t place = 0; place < place_; ++place)
    rows += static_cast<int64_t>(data_.corpus->BlockRows(order_[place]));
  for (int64_t b = 0; b < batch - firsts_[place_]; ++b) rows += static_cast<int64_t>(part_.plan[b].size());
  return rows;
}

}  // namespace thimble::train
