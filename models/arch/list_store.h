// Short lists of numbers and a store of them, the stuff that channel_algebra's functions are made of.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

namespace thimble::models {

// A list of at most kCapacity numbers, without memory of its own.
struct ShortList {
  static constexpr int kCapacity = 64;

  ShortList() : size(0) {}  // the items are left as they are
  ShortList(std::initializer_list<int> list) : ShortList(list.begin(), static_cast<int>(list.size())) {}
  ShortList(const int* first, int count) : size(count) { std::copy_n(first, count, items); }
  ShortList(std::span<const int> list) : ShortList(list.data(), static_cast<int>(list.size())) {}
  ShortList(const ShortList& other) : ShortList(other.items, other.size) {}
  ShortList& operator=(const ShortList& other) {
    size = other.size;
    std::copy_n(other.items, size, items);
    return *this;
  }
  void Push(int item) { items[size++] = item; }
  void Erase(const int* at) {
    std::copy(at + 1, static_cast<const int*>(end()), items + (at - items));
    --size;
  }
  int* begin() { return items; }
  int* end() { return items + size; }
  const int* begin() const { return items; }
  const int* end() const { return items + size; }

  int size;
  int items[kCapacity];
};

// The union of sorted lists that may hold an item several times.
inline ShortList Merged(std::span<const int> a, std::span<const int> b) {
  ShortList all;
  all.size = static_cast<int>(std::merge(a.begin(), a.end(), b.begin(), b.end(), all.items) - all.items);
  return all;
}
inline ShortList Difference(std::span<const int> a, std::span<const int> b) {
  ShortList rest;
  rest.size =
      static_cast<int>(std::set_difference(a.begin(), a.end(), b.begin(), b.end(), rest.items) - rest.items);
  return rest;
}
inline ShortList Intersection(std::span<const int> a, std::span<const int> b) {
  ShortList both;
  both.size = static_cast<int>(std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), both.items) -
                               both.items);
  return both;
}

// Lists that are stored once: equal ones have one number.
class ListStore {
 public:
  ListStore();
  ListStore(const ListStore&) = delete;
  int Find(const int* items, int size);
  int Find(const ShortList& list) { return Find(list.items, list.size); }
  std::span<const int> operator[](int id) const {
    return {entries_[id].items, static_cast<size_t>(entries_[id].size)};
  }
  int Size(int id) const { return entries_[id].size; }
  int Item(int id, int at) const { return entries_[id].items[at]; }
  int Count() const { return static_cast<int>(entries_.size()); }

  static constexpr int8_t kUnmarked = 2;
  int8_t& Mark(int id) { return marks_[id]; }
  void ClearMarks() { std::fill(marks_.begin(), marks_.end(), kUnmarked); }

 private:
  static constexpr int kBlock = 256;
  struct Entry {
    const int* items;
    int size;
    int next;  // in its bucket, or -1
    uint32_t hash;
  };
  std::array<int, kBlock> first_block_;
  std::vector<std::unique_ptr<int[]>> more_blocks_;
  int* free_;  // in the last block; items stay where they are
  int left_ = kBlock;
  std::vector<Entry> entries_;
  std::vector<int8_t> marks_;
  std::array<int, 64> buckets_;
};

}  // namespace thimble::models
