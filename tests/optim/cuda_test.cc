// A step on a GPU beside the processor's. Built twice: cuda_test needs a GPU, and says that it was skipped
// without one; cuda_emulated_test runs the same kernels in emulated_cuda.cc.
#include "optim/cuda/optimizer.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "optim/cuda/device.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"
#include "tests/optim/numbers.h"
#include "tests/optim/spec.h"

namespace thimble::optim::cuda {
namespace {

using Sizes = std::vector<std::vector<int64_t>>;

class CudaStep : public testing::Test {
 protected:
  void SetUp() override {
    if (!DeviceFound()) GTEST_SKIP() << "no GPU was found";
  }
};

std::vector<float> Numbers(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel()};
}

// One model twice: on the processor, with torch, and where the kernels run.
struct Both {
  Parameters host;
  std::vector<std::unique_ptr<Array<float>>> values, gradients;
  std::vector<DeviceParameter> device;

  explicit Both(const Sizes& sizes) {
    for (uint32_t i = 0; i < sizes.size(); ++i) {
      const std::string name = std::to_string(i);
      host.push_back({name, StartValue(i, sizes[i]).requires_grad_(), i % 2 == 0, i == 3 ? 0.5 : 1.0});
      values.push_back(std::make_unique<Array<float>>(Numbers(host[i].value.detach())));
      gradients.push_back(std::make_unique<Array<float>>(static_cast<size_t>(host[i].value.numel())));
      device.push_back({name, sizes[i], values[i]->get(), i % 2 == 0, i == 3 ? 0.5 : 1.0});
    }
  }
  // Where the gradients are; parameter `without` has none.
  std::vector<const float*> SetGradients(uint32_t step, size_t without) {
    std::vector<const float*> pointers;
    for (uint32_t i = 0; i < host.size(); ++i) {
      const at::Tensor gradient = GradientValue(i, step, host[i].value.sizes());
      gradients[i]->Set(Numbers(gradient), nullptr);
      host[i].value.mutable_grad() = i == without ? at::Tensor() : gradient;
      pointers.push_back(i == without ? nullptr : gradients[i]->get());
    }
    return pointers;
  }
  std::vector<float> Value(size_t i) const {
    std::vector<float> numbers(static_cast<size_t>(host[i].value.numel()));
    Download(values[i]->get(), numbers.size() * sizeof(float), numbers.data(), nullptr);
    return numbers;
  }
};

void ExpectNear(const std::vector<float>& got, const at::Tensor& want, double tolerance,
                const std::string& what) {
  ASSERT_EQ(static_cast<int64_t>(got.size()), want.numel()) << what;
  const at::Tensor numbers = torch::tensor(got).view(want.sizes());
  EXPECT_LE((numbers - want).abs().max().item<double>(), tolerance * want.abs().max().item<double>()) << what;
}

// Shapes: one and several chunks of rows and of elements, fewer columns than a warp and more than a block.
const Sizes kShapes = {{130, 37}, {5}, {3, 300}, {9000}, {64, 1}, {1, 7}, {65, 32}, {2, 3, 20}};

void ExpectParity(const std::string& rule, const Sizes& sizes, int steps) {
  Both both(sizes);
  const auto host = MakeOptimizer(Spec(rule), both.host);
  const auto device = MakeDeviceOptimizer(Spec(rule), both.device);
  for (int step = 0; step < steps; ++step) {
    const double factor = step % 3 == 0 ? 1 : 0.25;
    const auto gradients = both.SetGradients(static_cast<uint32_t>(step), step == 1 ? 2 : sizes.size());
    host->Step(factor);
    device->Step(factor, gradients);
  }
  for (size_t i = 0; i < sizes.size(); ++i)
    ExpectNear(both.Value(i), both.host[i].value.detach(), 1e-6, rule + ", weights " + std::to_string(i));
  const auto state = device->State();
  ASSERT_EQ(state.size(), host->State().size());
  for (size_t k = 0; k < state.size(); ++k) {
    EXPECT_EQ(state[k].first, host->State()[k].first);
    ExpectNear(state[k].second, host->State()[k].second, 2e-6, rule + ", " + state[k].first);
  }
}

TEST_F(CudaStep, CameAgreesWithTheProcessor) {
  ExpectParity("came {learning_rate: 1e-2}", kShapes, 5);
  ExpectParity("came {learning_rate: 1e-2 clip_threshold: 0.5 weight_decay: 0.25 factoring: LAST_DIMENSIONS}",
               kShapes, 4);
}

TEST_F(CudaStep, AdamAgreesWithTheProcessor) {
  ExpectParity("adamw {learning_rate: 1e-2 weight_decay: 0.25}", kShapes, 6);
  ExpectParity("adam {learning_rate: 1e-2 weight_decay: 0.25}", kShapes, 6);
}

// A block's threads run in any order, sums do not.
TEST_F(CudaStep, GivesTheSameBitsEveryTime) {
  std::vector<std::vector<float>> first;
  for (int run = 0; run < 2; ++run) {
    Both both(kShapes);
    const auto device = MakeDeviceOptimizer(Spec("came {learning_rate: 1e-2}"), both.device);
    for (uint32_t step = 0; step < 3; ++step) device->Step(1, both.SetGradients(step, kShapes.size()));
    for (size_t i = 0; i < kShapes.size(); ++i) {
      if (run == 0)
        first.push_back(both.Value(i));
      else
        EXPECT_EQ(both.Value(i), first[i]) << i;
    }
  }
}

// Three steps on the processor, three where the kernels run, as six on the processor.
TEST_F(CudaStep, GoesOnWithTheProcessorsState) {
  for (const std::string rule : {"came {learning_rate: 1e-2}", "adamw {learning_rate: 1e-2}"}) {
    Both both(kShapes);
    const auto host = MakeOptimizer(Spec(rule), both.host);
    for (uint32_t step = 0; step < 3; ++step) {
      both.SetGradients(step, kShapes.size());
      host->Step(1);
    }
    const auto device = MakeDeviceOptimizer(Spec(rule), both.device);
    DeviceOptimizer::NamedNumbers state;
    for (const auto& [name, tensor] : host->State()) state.emplace_back(name, Numbers(tensor));
    device->LoadState(state);
    for (size_t i = 0; i < kShapes.size(); ++i)
      both.values[i]->Set(Numbers(both.host[i].value.detach()), nullptr);
    EXPECT_EQ(device->State(), state);
    for (uint32_t step = 3; step < 6; ++step) {
      const auto gradients = both.SetGradients(step, kShapes.size());
      host->Step(1);
      device->Step(1, gradients);
    }
    for (size_t i = 0; i < kShapes.size(); ++i)
      ExpectNear(both.Value(i), both.host[i].value.detach(), 1e-6, rule + ", weights " + std::to_string(i));
  }
}

TEST_F(CudaStep, RefusesWhatHasNoFormThere) {
  EXPECT_THROW(MakeDeviceOptimizer(Spec("lamb {learning_rate: 1e-2}"), {}), Error);
  EXPECT_THROW(MakeDeviceOptimizer(Spec("came {learning_rate: 1e-2} sam {}"), {}), Error);
  EXPECT_THROW(MakeDeviceOptimizer(Spec("came {learning_rate: 1e-2} layer_decay: 0.9"), {}), Error);
}

}  // namespace
}  // namespace thimble::optim::cuda
