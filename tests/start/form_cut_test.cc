// Candidates whose blocks have another form than their supernet's, against students cut in that form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/start/fixtures.h"

namespace thimble::distill {
namespace {

TEST(FormCutTest, IsWhatTheTeacherWouldBeCutTo) {
  const models::Model teacher = RandomTeacher(2, 16, 64, /*unit_gains=*/false);
  const auto fit = RandomBatches(20, 16, 3), held_out = RandomBatches(4, 16, 9);
  for (const bool refit : {false, true}) {
    proto::Sliced options = DefaultSliced();
    options.set_refit(refit);
    const SlicedStart start(teacher, fit, held_out, options);
    const std::string block = kBertBlock;
    const proto::Architecture dense = Encoder(2, 8, block + " width: 48 stacks: 2", "pooler: 16");
    const models::Model supernet = start.MakeSupernet(dense, 1);
    for (const std::string form :
         {block, block + " groups: 2", block + " groups: 2 monarch: true", block + " routed { count: 3 }",
          block + " routed { count: 2 shared: 8 } groups: 2", block + " merged { count: 3 }",
          std::string("glu {}"), std::string("mlp {}"), std::string("mlp { activation: relu } groups: 2")}) {
      SCOPED_TRACE(form);
      const proto::Architecture candidate = Encoder(2, 8, form + " width: 32", "pooler: 16");
      SlicedReport report, wanted;
      const models::Model got = start.MakeCandidate(supernet, candidate, &report);
      const models::Model direct = start.MakeCandidate(start.MakeSupernet(candidate, 1), candidate, &wanted);
      ASSERT_EQ(got.weights.size(), direct.weights.size());
      ASSERT_EQ(report.blocks.size(), wanted.blocks.size());
      for (const auto& [name, weight] : direct.weights) {
        ASSERT_TRUE(got.weights.Has(name)) << name;
        ASSERT_EQ(got.weights.at(name).sizes(), weight.sizes()) << name;
        // Routers, gates and norms aside: those are drawn, or fitted to what stands before them.
        const bool cut = name.find(".up.") != std::string::npos || name.find("query") != std::string::npos;
        if (cut && !refit) {
          EXPECT_LT((got.weights.at(name) - weight).abs().max().item<float>(), 1e-4) << name;
        }
      }
      // Norms are fitted once for a supernet; a refit fits them anew.
      if (!refit) continue;
      for (size_t i = 0; i < report.blocks.size(); ++i)
        EXPECT_NEAR(report.blocks[i].after, wanted.blocks[i].after, 0.05) << report.blocks[i].block;
    }
  }
}

}  // namespace
}  // namespace thimble::distill
