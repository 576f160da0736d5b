// Who computes with how many threads. Torch's thread count belongs to the calling thread; matrix products
// give the same bits only with the same count, so a member of a cohort always has the same one.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace thimble::proto {
class Deployment;
}

namespace thimble::train {

int Threads(const proto::Deployment& deployment);  // that it asks for; 0: as many as there are cores

// Sets torch's threads for this thread and its children of the OpenMP runtime; 0: all cores.
void SetTorchThreads(int threads);

// SetTorchThreads for a scope.
class TorchThreads {
 public:
  explicit TorchThreads(int threads);
  ~TorchThreads();
  TorchThreads(const TorchThreads&) = delete;
  TorchThreads& operator=(const TorchThreads&) = delete;

 private:
  int before_;
};

// `threads` threads that live as long as the object, each with `torch_threads` of torch. With one thread the
// work is done on the caller's, under the caller's setting.
class Workers {
 public:
  Workers(int threads, int torch_threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // body(i) for i in [0, n); returns when all are done. After an exception nothing new is begun; the first
  // one is rethrown. Not to be called from within a body.
  void Run(size_t n, const std::function<void(size_t)>& body);

 private:
  void Loop(int torch_threads);

  std::mutex mutex_;  // guards all below but threads_
  std::condition_variable wake_, done_;
  const std::function<void(size_t)>* body_ = nullptr;
  size_t next_ = 0, n_ = 0, busy_ = 0;
  std::exception_ptr error_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace thimble::train
