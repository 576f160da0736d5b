// Against came-pytorch and torch's AdamW: tests/golden/optimizers.json.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/files.h"
#include "optim/optimizer.h"
#include "proto/optimizer.pb.h"
#include "tests/optim/numbers.h"

namespace thimble::optim {
namespace {

TEST(OptimizerGolden, WeightsAgreeWithThePublishedCode) {
  const auto golden = nlohmann::json::parse(ReadFile(THIMBLE_SOURCE_DIR "/tests/golden/optimizers.json"));
  const int steps = golden["steps"];
  ASSERT_EQ(golden["runs"].size(), 8u);
  int compared = 0;
  for (const auto& run : golden["runs"]) {
    proto::Optimizer spec;
    ParseText(run["optimizer"].get<std::string>(), "golden", &spec);
    Parameters parameters;
    for (const char* name : {"matrix", "tall", "wide", "vector"}) {
      const auto sizes = golden["shapes"][name].get<std::vector<int64_t>>();
      const auto index = static_cast<uint32_t>(parameters.size());
      parameters.push_back({name, StartValue(index, sizes).requires_grad_(), run["decay"].get<bool>()});
    }
    const auto optimizer = MakeOptimizer(spec, parameters);
    for (int step = 0; step < steps; ++step) {
      for (uint32_t i = 0; i < parameters.size(); ++i)
        parameters[i].value.mutable_grad() = GradientValue(i, step, parameters[i].value.sizes());
      optimizer->Step(run["ramp"].get<bool>() ? (step + 1.0) / steps : 1.0);
      const auto expected = run["weights"].find(std::to_string(step + 1));
      if (expected == run["weights"].end()) continue;
      for (const Parameter& parameter : parameters) {
        const auto values = (*expected)[parameter.name].get<std::vector<float>>();
        const at::Tensor want = torch::tensor(values).view(parameter.value.sizes());
        const double largest = want.abs().max().item<double>();
        const double worst = (parameter.value.detach() - want).abs().max().item<double>();
        EXPECT_LE(worst, 1e-6 * largest) << run["optimizer"] << " decay " << run["decay"] << ", "
                                         << parameter.name << " after step " << step + 1;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 8 * 4 * 4);
}

}  // namespace
}  // namespace thimble::optim
