// Forms of feed-forward blocks as choices of a space.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "base/error.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "search/learners/encoding.h"
#include "search/space_plan.h"
#include "search/strategy.h"
#include "tests/search/studies.h"

namespace thimble::search {
namespace {

using ::testing::HasSubstr;

constexpr char kForms[] =
    "form: [{}, { groups: 4 }, { groups: 2 monarch: true }, { routed { count: 2 } }, { glu {} }, "
    "{ mlp {} merged { count: 3 } }]";

proto::Study FormStudy(const std::string& vary, const std::string& ffn = "", const std::string& limit = "") {
  return MakeStudy(
      "layer { mixer { self_attention {} } ffn { expression {} stacks: [1, 2] width: [0, 96, 480] " +
          (ffn.empty() ? kForms : ffn) + " } } ",
      vary, limit, 3);
}

std::string Text(const proto::FeedForward& ffn) { return ffn.has_none() ? "none" : FormText(FormOf(ffn)); }

TEST(SpaceFormsTest, AreCountedAndCostedByFormula) {
  const auto study = FormStudy("[STACKS, WIDTH, FORM]", "", "min: 8000000 max: 13000000");
  const StageSpace space = MakeSpace(study);
  const Feasibility counted = space.CountFeasible();
  // Of a layer: no block, or two numbers of stacks, two widths and six forms.
  EXPECT_EQ(counted.points, std::pow(1 + 2 * 2 * 6, 3));
  EXPECT_GT(counted.feasible, 0);
  EXPECT_LT(counted.feasible, counted.points);
  Random random(1);
  std::map<std::string, int> seen;
  for (int i = 0; i < 300; ++i) {
    const auto drawn = space.Sample(&random);
    ASSERT_TRUE(drawn);
    EXPECT_TRUE(space.Feasible(*drawn));
    EXPECT_EQ(space.Cost(*drawn),
              static_cast<double>(models::DeployedParameters(models::Resolve(*drawn), kContext.classes)));
    for (const auto& layer : drawn->layer()) {
      EXPECT_EQ(layer.ffn().has_expression(),
                !layer.ffn().has_none() && !layer.ffn().has_glu() && !layer.ffn().has_mlp());
      ++seen[Text(layer.ffn())];
    }
  }
  EXPECT_EQ(seen.size(), 7U);
  for (const auto& [text, count] : seen) EXPECT_GT(count, 20) << text;
}

TEST(SpaceFormsTest, StagesVaryWhatTheyName) {
  const auto whole = FormStudy("[STACKS, WIDTH, FORM]");
  Random random(2);
  const auto base = MakeSpace(whole).Sample(&random);
  for (const std::string vary : {"STACKS", "WIDTH", "FORM"}) {
    SCOPED_TRACE(vary);
    const auto study = FormStudy(vary);
    const StageSpace space(study, study.stage(0), *base, kContext);
    std::set<std::string> canonical;
    for (int i = 0; i < 60; ++i) {
      const auto next = i % 2 ? space.Sample(&random) : space.Mutate(*base, &random);
      ASSERT_TRUE(next);
      canonical.insert(models::CanonicalArchitecture(*next));
      for (int layer = 0; layer < base->layer_size(); ++layer) {
        const auto &now = next->layer(layer).ffn(), &was = base->layer(layer).ffn();
        if (vary != "WIDTH") EXPECT_TRUE(SameSize(now, was));
        // A block in the place of none has whatever form.
        if (vary != "FORM" && !was.has_none() && !now.has_none()) EXPECT_EQ(Text(now), Text(was));
        if (vary != "STACKS" && !was.has_none() && !now.has_none()) EXPECT_EQ(now.stacks(), was.stacks());
      }
    }
    EXPECT_GT(canonical.size(), 3U);
  }
}

TEST(SpaceFormsTest, TheSupernetIsDense) {
  const auto study = FormStudy("FORM", "form: [{ glu {} }, { routed { count: 2 shared: 32 } }]");
  EXPECT_TRUE(HasForms(study.space()));
  EXPECT_FALSE(HasForms(FormStudy("WIDTH", "form: {}").space()));
  const auto largest = LargestArchitecture(study.space(), kContext);
  for (const auto& layer : largest.layer()) {
    EXPECT_TRUE(layer.ffn().has_expression());
    EXPECT_EQ(layer.ffn().width(), 480 + 32);
  }
  EXPECT_EQ(
      Text(SeedArchitecture(FormStudy("FORM", "form: [{ glu {} }, {}] ").space(), kContext).layer(0).ffn()),
      "none");  // the first width
}

TEST(SpaceFormsTest, AreRefusedWhereTheyDoNotFit) {
  const auto said = [](const std::string& forms) -> std::string {
    try {
      ValidateSpace(FormStudy("FORM", forms).space(), "space");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(said(kForms), "accepted");
  EXPECT_THAT(said("form: [{}, { groups: 1 }]"),
              HasSubstr("space.layer[0].ffn.form[1]: a value stands twice"));
  EXPECT_THAT(said("form: [{}, { groups: 7 }]"), HasSubstr("space.layer[0].ffn.form[1].groups: "));
  EXPECT_THAT(said("form: { merged { count: 2 k: 3 } }"), HasSubstr("space.layer[0].ffn.form[0]"));
  EXPECT_THAT(said("form: { monarch: true }"), HasSubstr("form[0].monarch"));
}

// Strategies that learn see them as a choice of their own.
TEST(SpaceFormsTest, AreEncoded) {
  const auto study = FormStudy("[STACKS, WIDTH, FORM]");
  const StageSpace space = MakeSpace(study);
  const Encoding encoding(space);
  int columns = 0;
  for (const auto& column : encoding.columns())
    if (column.what == Encoding::What::kForm) {
      ++columns;
      EXPECT_EQ(column.values.size(), 6U);
    }
  EXPECT_EQ(columns, 3);
  Random random(3);
  auto one = *space.Sample(&random);
  while (one.layer(0).ffn().has_none()) one = *space.Sample(&random);
  auto other = one;
  auto* ffn = other.mutable_layer(0)->mutable_ffn();
  const auto form = FormOf(*ffn);
  for (const auto& inner : space.sections()[0].layers[0].inner)
    if (SameSize(inner, *ffn) && FormText(FormOf(inner)) != FormText(form)) {
      *ffn = MakeFeedForward(inner, ffn->stacks(), "linear(gelu(linear(x,wb1)),wb2)");
      break;
    }
  EXPECT_NE(encoding.Scaled(one), encoding.Scaled(other));
  EXPECT_NE(encoding.Published(one), encoding.Published(other));
  EXPECT_EQ(encoding.Scaled(one).size(), static_cast<size_t>(encoding.width()));
}

TEST(SpaceFormsTest, EveryStrategyProposesThem) {
  const auto study = FormStudy("[STACKS, WIDTH, FORM]");
  const StageSpace space = MakeSpace(study);
  for (const char* name :
       {"random {}", "evolution {}", "tpe {}", "boshnas {}", "gaussian_process {}", "nsga2 {}"}) {
    SCOPED_TRACE(name);
    proto::Strategy spec;
    ParseText(name, "strategy", &spec);
    const auto strategy = MakeStrategy(spec, space, Random(5));
    std::set<std::string> forms;
    for (int round = 0; round < 12; ++round) {
      const auto asked = strategy->Suggest(8);
      std::vector<Trial> trials;
      for (const auto& architecture : asked) {
        EXPECT_TRUE(space.Feasible(architecture));
        Trial trial;
        trial.architecture = architecture;
        trial.state = TrialState::kComplete;
        trial.value = 0;
        for (const auto& layer : architecture.layer()) {
          forms.insert(Text(layer.ffn()));
          trial.value += layer.ffn().has_glu();
        }
        trials.push_back(trial);
      }
      strategy->Observe(trials);
    }
    EXPECT_GT(forms.size(), 3U);
  }
}

// The rows of a table may have any of them.
TEST(SpaceFormsTest, AListHoldsThem) {
  Random random(4);
  const auto study = FormStudy("[STACKS, WIDTH, FORM]");
  const StageSpace space = MakeSpace(study);
  std::vector<proto::Architecture> listed;
  std::set<std::string> canonical;
  while (listed.size() < 20)
    if (auto drawn = *space.Sample(&random); canonical.insert(models::CanonicalArchitecture(drawn)).second)
      listed.push_back(std::move(drawn));
  const StageSpace list = StageSpace::OfList(listed, kContext, "table");
  EXPECT_EQ(list.Points(), 20);
  for (const auto& each : listed) EXPECT_TRUE(list.Feasible(each));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(list.Feasible(*list.Mutate(listed[i], &random)));
}

}  // namespace
}  // namespace thimble::search
