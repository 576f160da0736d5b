// Against came-pytorch, torch and double-precision NumPy: tests/golden/optimizers.json.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/files.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"
#include "tests/optim/numbers.h"

namespace thimble::optim {
namespace {

// The gradients of one pass. Rounded to multiples of 1/1024 where the generator rounds, with a slope in the
// weights where it has one; the second gradient of AdaHessian differs by the product with the Hessian,
// exactly.
void SetGradients(const nlohmann::json& run, int step, int pass, Parameters* parameters) {
  const at::NoGradGuard no_grad;
  const bool hessian = run["optimizer"].get<std::string>().rfind("adahessian", 0) == 0;
  for (uint32_t i = 0; i < parameters->size(); ++i) {
    const at::Tensor& value = (*parameters)[i].value;
    at::Tensor gradient = GradientValue(i, step, value.sizes());
    if (run.contains("coarse"))
      gradient = (gradient * 1024).round() / 1024 + run["slope"].get<float>() * value;
    if (hessian && pass == 1) {
      const at::Tensor product = at::empty(value.sizes());
      for (int64_t k = 0; k < product.numel(); ++k)
        product.data_ptr<float>()[k] =
            static_cast<float>(std::nearbyint(Hashed(3000 + i, static_cast<uint32_t>(k)) * 64) / 64);
      gradient = gradient + product / 1024;
    }
    at::Tensor(value).mutable_grad() = gradient;
  }
}

TEST(OptimizerGolden, WeightsAgreeWithThePublishedCode) {
  const auto golden = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/optimizers.json"));
  const int steps = golden["steps"];
  ASSERT_EQ(golden["runs"].size(), 34u);
  int compared = 0;
  for (const auto& run : golden["runs"]) {
    proto::Optimizer spec;
    ParseText(run["optimizer"].get<std::string>(), "golden", &spec);
    Parameters parameters;
    for (const auto& [name, sizes] :
         run["shapes"].get<std::vector<std::pair<std::string, std::vector<int64_t>>>>()) {
      const auto index = static_cast<uint32_t>(parameters.size());
      parameters.push_back({name, StartValue(index, sizes).requires_grad_(), run["decay"].get<bool>()});
    }
    const auto optimizer = MakeOptimizer(spec, parameters);
    // Against weights in double precision 200 roundings of float32 weights show: up to 200 x 2^-25 = 6e-6,
    // less where they cancel. The others repeat a float32 program.
    const double tolerance = spec.has_lamb() || spec.has_adahessian() ? 2e-6 : 1e-6;
    for (int step = 0; step < steps; ++step) {
      int pass = 0;
      do {
        SetGradients(run, step, pass++, &parameters);
      } while (optimizer->NextPass());
      optimizer->Step(run["ramp"].get<bool>() ? (step + 1.0) / steps : 1.0);
      const auto expected = run["weights"].find(std::to_string(step + 1));
      if (expected == run["weights"].end()) continue;
      for (const Parameter& parameter : parameters) {
        const auto values = (*expected)[parameter.name].get<std::vector<float>>();
        const at::Tensor want = torch::tensor(values).view(parameter.value.sizes());
        const double largest = want.abs().max().item<double>();
        const double worst = (parameter.value.detach() - want).abs().max().item<double>();
        EXPECT_LE(worst, tolerance * largest) << run["optimizer"] << " decay " << run["decay"] << ", "
                                              << parameter.name << " after step " << step + 1;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, (30 * 4 + 4 * 2) * 4);
}

}  // namespace
}  // namespace thimble::optim
