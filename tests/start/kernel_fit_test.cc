// Features of linear attention, fitted to the teacher's softmax.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distill/objective.h"
#include "proto/objective.pb.h"
#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

// Sum over the student's layers of the divergence from the teacher's attention to its kernel's, as a loss
// sees it: nats a query and head.
double Divergence(const models::Model& teacher, const models::Model& student,
                  const std::vector<models::Batch>& batches) {
  const at::NoGradGuard no_grad;
  proto::Objective spec;
  ParseText("loss { attention_distributions { divergence: KL } }", "test", &spec);
  const Objective objective(spec, student.shape, &teacher, false);
  models::ForwardOptions options;
  objective.Ask(&options);
  double sum = 0, count = 0;
  for (const models::Batch& batch : batches) {
    const models::Outputs theirs = Forward(teacher, batch, options), ours = Forward(student, batch, options);
    const LossSum loss = objective.Compute(student, ours, &theirs, batch, std::nullopt)[0];
    sum += loss.sum.item<double>();
    count += loss.count;
  }
  return sum / count;
}

proto::Architecture Linear(const models::Model& teacher, const std::string& fields) {
  proto::Architecture architecture = teacher.architecture;
  for (auto& layer : *architecture.mutable_layer())
    ParseText("linear_attention { " + fields + " }", "test", layer.mutable_mixer());
  return architecture;
}

TEST(KernelFitTest, ComesNearToSoftmax) {
  const models::Model teacher = RandomTeacher(1, 16, 32, /*unit_gains=*/false);
  const auto fit = RandomBatches(20, 16, 3), held_out = RandomBatches(4, 16, 9);
  const auto start = [&](int steps, bool refit, const std::string& fields) {
    proto::Sliced options = DefaultSliced();
    options.set_kernel_steps(steps);
    options.set_refit(refit);
    const SlicedStart sliced(teacher, fit, held_out, options);
    const proto::Architecture linear = Linear(teacher, fields);
    return sliced.MakeCandidate(sliced.MakeSupernet(linear, 1), linear);
  };
  for (const std::string fields : {"features: SOFTMAX", "features: SOFTMAX size: 12"}) {
    SCOPED_TRACE(fields);
    const models::Model drawn = start(0, false, fields), fitted = start(200, false, fields);
    const double before = Divergence(teacher, drawn, held_out), after = Divergence(teacher, fitted, held_out);
    EXPECT_GT(before, 0.05);
    EXPECT_LT(after, 0.6 * before);
    // Nothing else has moved but the norms, which are fitted behind them.
    for (const auto& [name, weight] : fitted.weights) {
      if (name.find("norm") != std::string::npos) continue;
      const bool feature = name.find("features") != std::string::npos;
      EXPECT_NE(at::equal(weight, drawn.weights.at(name)), feature) << name;
    }
  }
  // Without features of its own there is nothing to fit.
  const models::Model plain = start(200, false, ""), same = start(0, false, "");
  for (const auto& [name, weight] : plain.weights)
    EXPECT_TRUE(at::equal(weight, same.weights.at(name))) << name;
}

}  // namespace
}  // namespace thimble::distill
