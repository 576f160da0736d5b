// Hidden width, depth and embedding as choices, and limits on other things than parameters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/config.h"
#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/bert.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "search/cut_space.h"
#include "search/space.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kVary[] = "[HEADS, WIDTH, HIDDEN, LAYERS, EMBEDDING]";

// 2 x 2 x 2 sections of (3 heads x 3 widths) ^ layers: 4 x (9 + 81) points.
proto::Study Study(const std::string& vary = kVary, const std::string& more = "") {
  proto::Study study;
  ParseText(R"(teacher { model: "teacher" hidden: 48 } data { directory: "glue" task { mrpc {} } }
               recipe { optimizer { adamw { learning_rate: 1e-4 } } }
               space { hidden: [48, 36] heads: 4 head_width: 12 layers: [2, 1] vocabulary: 100 positions: 32
                       embedding { plain {} } embedding { trigram { width: 8 } }
                       layer { mixer { self_attention {} } heads: [4, 2, 0] ffn { expression {} stacks: 1 width: [96, 32, 0] } } }
               stage { name: "only" evaluator { untrained {} } trials: 10 vary: )" +
                vary + "} " + more,
            "study", &study);
  return study;
}

SpaceContext Context() {
  proto::Architecture teacher;
  ParseText("vocabulary: 100 positions: 32 hidden: 48 heads: 4 embedding { plain {} }", "teacher", &teacher);
  for (int i = 0; i < 2; ++i)
    ParseText("mixer { self_attention {} } ffn { expression: 'linear(gelu(linear(x,wb1)),wb2)' width: 96 }",
              "layer", teacher.add_layer());
  return {.classes = 2, .teacher_hidden = 48, .teacher = teacher};
}

std::vector<proto::Architecture> AllPoints(const StageSpace& space) {
  std::vector<proto::Architecture> all;
  for (int i = 0; i < space.Points(); ++i) all.push_back(space.Point(i));
  return all;
}

double Of(const proto::Architecture& architecture) {
  return static_cast<double>(models::MultiplyAdds(models::Resolve(architecture), 20));
}

TEST(SpaceSectionsTest, EveryPointOnceInAllSections) {
  const auto study = Study();
  const StageSpace space = MakeSpace(study, Context());
  EXPECT_EQ(space.Points(), 4 * (9 + 81));
  std::set<std::string> points, sections;
  for (const auto& point : AllPoints(space)) {
    EXPECT_TRUE(space.Feasible(point));
    EXPECT_EQ(space.Cost(point), models::DeployedParameters(models::Resolve(point), 2));
    points.insert(models::CanonicalArchitecture(point));
    sections.insert(std::to_string(point.hidden()) + " " + std::to_string(point.layer_size()) +
                    point.embedding().ShortDebugString());
    for (const auto& layer : point.layer())  // heads keep their width at every hidden width
      if (const auto size = models::SizeOf(models::Resolve(point), layer.mixer()); size.heads > 0)
        EXPECT_EQ(size.context, 12 * size.heads);
  }
  EXPECT_EQ(points.size(), 360u);
  EXPECT_EQ(sections.size(), 8u);
  EXPECT_EQ(space.CountFeasible().points, 360);
}

TEST(SpaceSectionsTest, WhatAStageDoesNotVaryIsItsBases) {
  const auto study = Study("[HEADS, WIDTH]");
  auto base = SeedArchitecture(study.space(), Context());
  EXPECT_EQ(StageSpace(study, study.stage(0), base, Context()).Points(), 81);
  base = SeedArchitecture(Sections(study.space()).back(), Context());  // 36 wide, one layer, trigram
  for (const auto& point : AllPoints(StageSpace(study, study.stage(0), base, Context()))) {
    EXPECT_EQ(point.hidden(), 36);
    EXPECT_EQ(point.layer_size(), 1);
    EXPECT_TRUE(point.embedding().has_trigram());
  }
  // The other way round: the sections vary, what layers hold does not.
  const auto across = Study("[HIDDEN, LAYERS]");
  base = SeedArchitecture(across.space(), Context());
  base.mutable_layer(1)->mutable_ffn()->set_width(32);
  std::set<std::string> seen;
  for (const auto& point : AllPoints(StageSpace(across, across.stage(0), base, Context()))) {
    seen.insert(std::to_string(point.hidden()) + "x" + std::to_string(point.layer_size()) + " " +
                std::to_string(point.layer(0).ffn().width()));
    EXPECT_TRUE(point.embedding().has_plain());
  }
  EXPECT_THAT(seen, ElementsAre("36x1 96", "36x2 96", "48x1 96", "48x2 96"));
}

TEST(SpaceSectionsTest, MultiplyAddsAreCountedExactly) {
  const auto context = Context();
  const StageSpace all = MakeSpace(Study(), context);
  const double limit = Of(*context.teacher) / 2;
  double expected = 0;
  for (const auto& point : AllPoints(all)) expected += Of(point) <= limit;
  const auto study = Study(kVary, "constraint { multiply_adds { speedup: 2 length: 20 } }");
  const StageSpace space = MakeSpace(study, context);
  ASSERT_EQ(space.limits().size(), 1u);
  EXPECT_EQ(space.limits()[0].max, std::floor(limit));
  EXPECT_EQ(space.Points(), expected);
  EXPECT_TRUE(space.CountFeasible().exact);
  Random random(1);
  std::set<int> hidden, layers;
  for (int i = 0; i < 200; ++i) {
    const auto drawn = *space.Sample(&random);
    EXPECT_LE(Of(drawn), limit);
    hidden.insert(drawn.hidden());
    layers.insert(drawn.layer_size());
  }
  EXPECT_THAT(hidden, ElementsAre(36, 48));
  EXPECT_THAT(layers, ElementsAre(1, 2));
  // Without its teacher a speed-up is of nothing.
  EXPECT_THROW(MakeSpace(study, {.teacher_hidden = 48}), Error);
}

TEST(SpaceSectionsTest, LatencyIsASumOfParts) {
  auto context = Context();
  context.latency = [](const proto::Architecture& architecture, const proto::LatencyConstraint& of) {
    const auto shape = models::Resolve(architecture);
    double ms = 0.3 * of.batch();
    for (const auto& layer : shape.layers)
      ms += 0.0101 * models::SizeOf(shape, layer.mixer).heads * shape.hidden +
            0.00103 * layer.width * shape.hidden;
    return ms;
  };
  const auto constraint = "constraint { latency { max_ms: 5 batch: 2 } }";
  const StageSpace all = MakeSpace(Study(), context), space = MakeSpace(Study(kVary, constraint), context);
  double expected = 0;
  proto::LatencyConstraint of;
  of.set_batch(2);
  for (const auto& point : AllPoints(all)) expected += context.latency(point, of) <= 5;
  const auto counted = space.CountFeasible();
  EXPECT_FALSE(counted.exact);
  EXPECT_LE(counted.feasible, expected);
  EXPECT_GT(counted.feasible, 0.9 * expected);
  Random random(2);
  for (int i = 0; i < 50; ++i) EXPECT_LE(context.latency(*space.Sample(&random), of), 5);
  // A setting of this machine is no constraint where nothing can be measured.
  EXPECT_EQ(MakeSpace(Study(kVary, constraint), Context()).Points(), 360);
}

TEST(SpaceSectionsTest, SeveralLimitsHoldTogether) {
  const auto context = Context();
  const auto study =
      Study(kVary,
            "constraint { parameters { max: 12000 } } constraint { multiply_adds { speedup: 2 length: 20 } } "
            "constraint { bytes { max: 60000 } }");
  const StageSpace space = MakeSpace(study, context);
  Random random(3);
  auto current = *space.Sample(&random);
  for (int i = 0; i < 200; ++i) {
    EXPECT_LE(models::DeployedParameters(models::Resolve(current), 2), 12000);
    EXPECT_LE(models::WrittenBytes(models::Resolve(current), 2).safetensors, 60000);
    EXPECT_LE(Of(current), Of(*context.teacher) / 2);
    current = i % 2 ? *space.Sample(&random) : *space.Mutate(current, &random);
  }
  EXPECT_EQ(space.CountFeasible().others, 2);
}

TEST(SpaceSectionsTest, AnEmbeddingThatSaysItsDefaultsIsTheSame) {
  auto study = Study();
  study.mutable_space()->mutable_embedding(1)->mutable_trigram()->set_width(128);
  auto architecture = SeedArchitecture(Sections(study.space()).back(), Context());
  architecture.mutable_embedding()->mutable_trigram()->clear_width();
  EXPECT_EQ(SectionOf(study.space(), architecture).hidden(0), 36);
  EXPECT_TRUE(MakeSpace(study, Context()).Feasible(architecture));
}

TEST(SpaceSectionsTest, MutationsReachAllSections) {
  const StageSpace space = MakeSpace(Study(), Context());
  Random random(4);
  std::set<std::string> seen;
  auto current = space.base();
  for (int i = 0; i < 300; ++i) {
    current = *space.Mutate(current, &random);
    seen.insert(std::to_string(current.hidden()) + " " + std::to_string(current.layer_size()) +
                current.embedding().ShortDebugString());
  }
  EXPECT_EQ(seen.size(), 8u);
}

TEST(SpaceSectionsTest, PlainBertLeavesWhatLoadsWithoutCode) {
  auto study = Study(kVary, "constraint { plain_bert {} }");
  const StageSpace space = MakeSpace(study, Context());
  // BERT's heads are the hidden width's share: 48 wide with all heads, and a pooler as wide; 2 widths, 2
  // depths.
  EXPECT_EQ(space.Points(), 4);
  for (const auto& point : AllPoints(space)) {
    EXPECT_TRUE(models::IsPlainBert(models::Resolve(point), true));
    EXPECT_TRUE(space.Feasible(point));
  }
  Random random(5);
  EXPECT_TRUE(models::IsPlainBert(models::Resolve(*space.Sample(&random)), true));
  EXPECT_FALSE(space.Feasible(SeedArchitecture(Sections(study.space()).back(), Context())));
}

TEST(SpaceSectionsTest, UniformStudentsHaveLayersThatAreAlike) {
  const auto uniform = MakeSpace(Study(), Context()).Uniform();
  EXPECT_EQ(uniform.size(), 8u * 9);
  for (const auto& each : uniform)
    for (const auto& layer : each.layer())
      EXPECT_EQ(layer.SerializeAsString(), each.layer(0).SerializeAsString());
}

TEST(SpaceSectionsTest, WhatDoesNotGoTogetherIsRefused) {
  const auto refusal = [](const std::string& change, const std::string& another = "") {
    auto study = Study();
    try {
      Override(change, &study);
      if (!another.empty()) Override(another, &study);
      MakeSpace(study, Context());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal("space.hidden=[48, 48]"), HasSubstr("space.hidden: a value stands twice"));
  EXPECT_THAT(refusal("space.layers=[2, 2]"), HasSubstr("space.layers: a value stands twice"));
  EXPECT_THAT(refusal("space.embedding=[{plain {}}, {plain {}}]"),
              HasSubstr("space.embedding[1]: a value stands twice"));
  EXPECT_THAT(refusal("space.head_width=0", "space.hidden=[48, 38]"),
              HasSubstr("the heads must divide the hidden width"));
  EXPECT_THAT(refusal("constraint[0]={bytes {max: 10}}"),
              HasSubstr("got 0 to 10 bytes (SAFETENSORS); accepted: what the space offers here"));
}

TEST(TargetsTest, AFamilyIsAStudyEach) {
  auto study =
      Study(kVary,
            "target { multiply_adds { speedup: 2.5 length: 20 } } target { parameters { max: 9000000 } } "
            "target { latency { max_ms: 8 } }");
  study.mutable_stage(0)->set_name("first");
  *study.add_stage() = study.stage(0);
  study.mutable_stage(1)->set_name("second");
  study.mutable_stage(1)->set_from("first");
  const auto studies = TargetStudies(study);
  ASSERT_EQ(studies.size(), 3u);
  EXPECT_EQ(TargetName(study.target(0)), "2.5x");
  EXPECT_EQ(TargetName(study.target(1)), "9M");
  EXPECT_EQ(TargetName(study.target(2)), "8ms");
  EXPECT_EQ(studies[0].stage(1).name(), "second-2_5x");
  EXPECT_EQ(studies[0].stage(1).from(), "first-2_5x");
  EXPECT_TRUE(studies[1].target().empty());
  EXPECT_EQ(studies[1].constraint(0).parameters().max(), 9000000);
}

TEST(CutSpaceTest, ItsFirstPointIsTheTeacher) {
  const auto context = Context();
  const auto shape = models::Resolve(*context.teacher);
  proto::Study study;
  *study.mutable_space() = CutSpace(shape);
  ValidateSpace(study.space(), "space");
  EXPECT_THAT(study.space().hidden(), ElementsAre(48, 36));
  EXPECT_THAT(study.space().layers(), ElementsAre(2, 1));
  const auto first = models::Resolve(SeedArchitecture(study.space(), context));
  EXPECT_EQ(models::DeployedParameters(first, 2), models::DeployedParameters(shape, 2));
  EXPECT_EQ(models::MultiplyAdds(first, 20), models::MultiplyAdds(shape, 20));
}

TEST(CutSpaceTest, ATeacherWhoseLayersDifferKeepsItsDepth) {
  auto context = Context();
  ParseText("self_attention { heads: 2 head_width: 12 }", "mixer",
            context.teacher->mutable_layer(1)->mutable_mixer());
  context.teacher->mutable_layer(1)->mutable_ffn()->set_width(64);
  const auto space = CutSpace(models::Resolve(*context.teacher));
  ValidateSpace(space, "space");
  EXPECT_THAT(space.layers(), ElementsAre(2));
  EXPECT_EQ(space.head_width(), 12);
  EXPECT_THAT(LayerChoices(space, 1).heads(), ElementsAre(2, 1, 0));
  EXPECT_THAT(LayerChoices(space, 1).ffn().width(), ElementsAre(64, 32, 0));
  EXPECT_THAT(LayerChoices(space, 0).heads(), ElementsAre(4, 3, 2, 1, 0));
}

}  // namespace
}  // namespace thimble::search
