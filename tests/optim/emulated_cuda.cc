// optim/cuda's kernels on a processor: the file that nvcc compiles, with CUDA's words for threads and
// barriers defined here. Blocks run one after the other; the threads of a block are contexts that take turns
// between barriers, in an order that differs from turn to turn, so that a missing barrier shows.
#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "base/error.h"
#include "optim/cuda/device.h"
#include "optim/cuda/kernels.h"

namespace {

struct Index {
  unsigned x = 0;
} threadIdx, blockIdx;

class Block {
 public:
  enum class State { kReady, kAtBlock, kAtWarp, kDone };

  void Run(const std::function<void()>& kernel) {
    kernel_ = &kernel;
    for (size_t i = 0; i < threads_.size(); ++i) {
      Thread& thread = threads_[i];
      thread.state = State::kReady;
      getcontext(&thread.context);
      thread.context.uc_stack = {.ss_sp = thread.stack.data(), .ss_flags = 0, .ss_size = thread.stack.size()};
      thread.context.uc_link = &scheduler_;
      makecontext(
          &thread.context, [] { Current().Enter(); }, 0);
    }
    while (Count(State::kDone) < threads_.size()) {
      Turn();
      bool released = false;
      for (size_t warp = 0; warp < threads_.size(); warp += 32)
        released |= Release(State::kAtWarp, warp, warp + 32);
      released |= Release(State::kAtBlock, 0, threads_.size());
      THIMBLE_CHECK(released || Count(State::kReady) > 0 || Count(State::kDone) == threads_.size(),
                    "threads wait for others that do not come");
    }
  }
  void Wait(State where) {
    Thread& thread = threads_[threadIdx.x];
    thread.state = where;
    const unsigned self = threadIdx.x;
    swapcontext(&thread.context, &scheduler_);
    threadIdx.x = self;
  }
  static Block& Current() {
    static Block block;
    return block;
  }

 private:
  struct Thread {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    State state = State::kDone;
  };

  void Enter() {
    (*kernel_)();
    threads_[threadIdx.x].state = State::kDone;
  }
  size_t Count(State state) const {
    size_t count = 0;
    for (const Thread& thread : threads_) count += thread.state == state;
    return count;
  }
  void Turn() {
    const size_t first = order_() % threads_.size();
    const bool backwards = order_() % 2 == 0;
    for (size_t k = 0; k < threads_.size(); ++k) {
      const size_t i = (first + (backwards ? threads_.size() - k : k)) % threads_.size();
      if (threads_[i].state != State::kReady) continue;
      threadIdx.x = static_cast<unsigned>(i);
      swapcontext(&scheduler_, &threads_[i].context);
    }
  }
  // As CUDA wants it of a full mask and of __syncthreads: all of them come, or are done.
  bool Release(State where, size_t first, size_t end) {
    size_t waiting = 0, done = 0;
    for (size_t i = first; i < end; ++i) {
      waiting += threads_[i].state == where;
      done += threads_[i].state == State::kDone;
    }
    if (waiting == 0 || waiting + (where == State::kAtBlock ? done : 0) < end - first) return false;
    for (size_t i = first; i < end; ++i)
      if (threads_[i].state == where) threads_[i].state = State::kReady;
    return true;
  }

  std::vector<Thread> threads_ = std::vector<Thread>(thimble::optim::cuda::kThreads);
  ucontext_t scheduler_;
  const std::function<void()>* kernel_ = nullptr;
  std::minstd_rand order_;
};

void __syncthreads() { Block::Current().Wait(Block::State::kAtBlock); }

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int apart) {
  static T values[thimble::optim::cuda::kThreads];
  THIMBLE_CHECK(mask == 0xffffffffu, "a part of a warp");
  values[threadIdx.x] = value;
  Block::Current().Wait(Block::State::kAtWarp);
  const T other = values[threadIdx.x ^ static_cast<unsigned>(apart)];
  Block::Current().Wait(Block::State::kAtWarp);
  return other;
}

}  // namespace

namespace thimble::optim::cuda {
namespace {

template <typename Kernel, typename... Arguments>
void Launch(Kernel kernel, int blocks, void* stream, const Arguments&... arguments) {
  for (blockIdx.x = 0; blockIdx.x < static_cast<unsigned>(blocks); ++blockIdx.x)
    Block::Current().Run([&] { kernel(arguments...); });
}

}  // namespace

bool DeviceFound() { return true; }
Bytes::Bytes(size_t size) : data_(std::calloc(size > 0 ? size : 1, 1)) {}
Bytes::~Bytes() { std::free(data_); }
void Upload(const void* from, size_t size, void* to, void* stream) {
  if (size > 0) std::memcpy(to, from, size);
}
void Download(const void* from, size_t size, void* to, void* stream) {
  if (size > 0) std::memcpy(to, from, size);
}

}  // namespace thimble::optim::cuda

#define __global__
#define __device__
#define __shared__ static
#include "optim/cuda/kernels.cu"
