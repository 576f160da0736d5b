// Memory of a GPU, for code that nvcc does not compile. A failed call is an Error with CUDA's words.
#pragma once
#include <cstddef>
#include <vector>

namespace thimble::optim::cuda {

// Whether this process can use a GPU.
bool DeviceFound();

// Bytes on the current GPU, zero at first.
class Bytes {
 public:
  explicit Bytes(size_t size);
  ~Bytes();
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  void* get() const { return data_; }

 private:
  void* data_;
};

// In order with what was launched on `stream` (a cudaStream_t, null: the default one). Upload returns when
// `from` may be changed, Download when `to` is filled.
void Upload(const void* from, size_t size, void* to, void* stream);
void Download(const void* from, size_t size, void* to, void* stream);

// `count` objects on the GPU, zero at first.
template <typename T>
class Array {
 public:
  explicit Array(size_t count) : count_(count), bytes_(count * sizeof(T)) {}
  explicit Array(const std::vector<T>& values) : Array(values.size()) { Set(values, nullptr); }
  T* get() const { return static_cast<T*>(bytes_.get()); }
  void Set(const std::vector<T>& values, void* stream) {
    Upload(values.data(), count_ * sizeof(T), bytes_.get(), stream);
  }

 private:
  const size_t count_;
  const Bytes bytes_;
};

}  // namespace thimble::optim::cuda
