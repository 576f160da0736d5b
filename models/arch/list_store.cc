#include "models/arch/list_store.h"

namespace thimble::models {

ListStore::ListStore() {
  free_ = first_block_.data();
  entries_.reserve(64);
  marks_.reserve(64);
  buckets_.fill(-1);
}

int ListStore::Find(const int* items, int size) {
  uint32_t hash = size;
  for (int i = 0; i < size; ++i) hash = (hash ^ static_cast<uint32_t>(items[i])) * 0x9e3779b1u;
  int& first = buckets_[hash >> 26];
  for (int at = first; at >= 0; at = entries_[at].next)
    if (entries_[at].hash == hash && Size(at) == size && std::equal(items, items + size, entries_[at].items))
      return at;
  if (left_ < size) {
    more_blocks_.push_back(std::make_unique_for_overwrite<int[]>(kBlock));
    free_ = more_blocks_.back().get();
    left_ = kBlock;
  }
  entries_.push_back({free_, size, first, hash});
  marks_.push_back(kUnmarked);
  free_ = std::copy_n(items, size, free_);
  left_ -= size;
  return first = Count() - 1;
}

}  // namespace thimble::models
