#include "optim/arena.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <new>

namespace thimble::optim {
namespace {
constexpr int64_t kHugePage = int64_t{1} << 21;
constexpr int64_t kCacheLine = 64;

int64_t RoundUp(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }
}  // namespace

// Fresh pages are zero and cost nothing before they are touched.
struct Arena::Block {
  explicit Block(int64_t wanted) : size(RoundUp(wanted, kHugePage)), mapped(size + kHugePage) {
    base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    start = reinterpret_cast<char*>(RoundUp(reinterpret_cast<int64_t>(base), kHugePage));
#ifdef MADV_HUGEPAGE
    madvise(start, size, MADV_HUGEPAGE);  // a wish: without it the memory is only slower
#endif
  }
  ~Block() { munmap(base, mapped); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  const int64_t size, mapped;
  void* base;
  char* start;
};

at::Tensor Arena::Zeros(at::IntArrayRef sizes) {
  const int64_t bytes = c10::multiply_integers(sizes) * static_cast<int64_t>(sizeof(float));
  if (block_ == nullptr || used_ + bytes > block_->size) {
    block_ = std::make_shared<Block>(std::max(bytes, 8 * kHugePage));
    used_ = 0;
  }
  char* start = block_->start + used_;
  used_ += RoundUp(bytes, kCacheLine);
  return at::from_blob(
      start, sizes, [keep = block_](void*) {}, at::kFloat);
}

}  // namespace thimble::optim
