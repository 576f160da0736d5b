// Piece to id, open addressing.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace thimble::data {

// Most lookups while a word is being cut are misses; they end in the slots themselves, where
// std::unordered_map follows pointers.
class PieceTable {
 public:
  static constexpr int32_t kNone = -1;

  void Reserve(size_t pieces) { slots_.assign(std::bit_ceil(2 * pieces + 1), {}); }

  int32_t Find(std::string_view piece) const { return slots_[Locate(piece, Hash64(piece))].id; }

  // `piece` must outlive the table and be new to it.
  void Insert(std::string_view piece, int32_t id) {
    const uint64_t hash = Hash64(piece);
    slots_[Locate(piece, hash)] = {static_cast<uint32_t>(hash >> 32), id,
                                   static_cast<uint32_t>(pieces_.size())};
    pieces_.push_back(piece);
    longest_ = std::max(longest_, piece.size());
  }

  size_t longest() const { return longest_; }  // bytes

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t id = kNone;
    uint32_t piece = 0;
  };

  // The slot that holds `piece`, or the free one where it belongs.
  size_t Locate(std::string_view piece, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at].id != kNone &&
           (slots_[at].hash != static_cast<uint32_t>(hash >> 32) || pieces_[slots_[at].piece] != piece)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
  std::vector<std::string_view> pieces_;
  size_t longest_ = 0;
};

}  // namespace thimble::data
