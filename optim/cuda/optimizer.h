// CAME, Adam and AdamW on a GPU: what optim/optimizers does, for weights and gradients that are there. All
// tensors take part in each launch, five of them for a step of CAME and one for Adam.
//
// The same state under the same names as the rule on a processor, so that a run may go on on the other one. A
// step agrees with the processor's up to the order of sums, and gives the same bits every time.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace thimble::proto {
class Optimizer;
}  // namespace thimble::proto

namespace thimble::optim::cuda {

struct DeviceParameter {
  std::string name;
  std::vector<int64_t> sizes;
  float* value;              // on the GPU, contiguous
  bool decay = true;         // the rule's weight decay applies
  double rate_factor = 1;    // of the learning rate; 0: never moved
  double weight_decay = -1;  // instead of the rule's; below 0: the rule's
};

class DeviceOptimizer {
 public:
  // Elements of a state tensor, as Optimizer::State names them.
  using NamedNumbers = std::vector<std::pair<std::string, std::vector<float>>>;

  virtual ~DeviceOptimizer() = default;
  // One update with the learning rate times `factor`, in order on `stream` (a cudaStream_t; null: the default
  // one). A gradient a parameter, on the GPU, contiguous; null: the parameter and its state stay as they are.
  virtual void Step(double factor, const std::vector<const float*>& gradients, void* stream = nullptr) = 0;
  virtual NamedNumbers State() const = 0;
  // CHECK on a missing name or another number of elements.
  virtual void LoadState(const NamedNumbers& state) = 0;
};

// The GPU that is current for the calling thread. `spec` as of MakeOptimizer, a rule alone: an Error for what
// else it asks for (another rule, sam, average, clip_value, groups, layer_decay), or if CUDA fails.
std::unique_ptr<DeviceOptimizer> MakeDeviceOptimizer(const proto::Optimizer& spec,
                                                     std::vector<DeviceParameter> parameters);

}  // namespace thimble::optim::cuda
