#include "train/threads.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/parallel.h"
#include "proto/deployment.pb.h"

namespace thimble::train {

int Threads(const proto::Deployment& deployment) {
  return deployment.threads() > 0 ? deployment.threads() : Cores();
}

void SetTorchThreads(int threads) {
  // The first question in a thread makes torch apply the process-wide default there; asked later it would
  // undo our setting.
  at::get_num_threads();
  at::set_num_threads(threads > 0 ? threads : Cores());
}

TorchThreads::TorchThreads(int threads) : before_(at::get_num_threads()) { SetTorchThreads(threads); }
TorchThreads::~TorchThreads() { at::set_num_threads(before_); }

Workers::Workers(int threads, int torch_threads) {
  THIMBLE_CHECK(torch_threads > 0, "a worker without threads");
  if (threads <= 1) return;
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this, torch_threads] { Loop(torch_threads); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::Loop(int torch_threads) {
  SetTorchThreads(torch_threads);
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || next_ < n_; });
    if (stop_) return;
    const size_t i = next_++;
    ++busy_;
    lock.unlock();
    std::exception_ptr error;
    try {
      (*body_)(i);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) {
      if (!error_) error_ = error;
      next_ = n_;
    }
    if (--busy_ == 0 && next_ >= n_) done_.notify_all();
  }
}

void Workers::Run(size_t n, const std::function<void(size_t)>& body) {
  if (threads_.empty()) {
    for (size_t i = 0; i < n; ++i) body(i);
    return;
  }
  std::unique_lock lock(mutex_);
  body_ = &body;
  n_ = n;
  next_ = 0;
  error_ = nullptr;
  wake_.notify_all();
  done_.wait(lock, [this] { return busy_ == 0 && next_ >= n_; });
  body_ = nullptr;
  if (error_) std::rethrow_exception(error_);
}

}  // namespace thimble::train
