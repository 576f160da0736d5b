// What a student learns from, told to people: the text to the byte.
#include "tools/run/loss_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/config.h"
#include "base/error.h"

namespace thimble::tools {
namespace {

proto::Objective Objective(const std::string& text) {
  proto::Objective objective;
  ParseText(text, "objective", &objective);
  return objective;
}

TEST(LossTable, NamesEveryLossWhereItCompares) {
  EXPECT_EQ(
      LossTable(Objective(R"(loss { soft_labels {} } loss { hard_labels {} } loss { attention_scores {} }
                                   loss { hidden_states {} } loss { attention_distributions { last_layer: true } }
                                   loss { minilm_relations {} } loss { minilm_relations { teacher_layer: 11 } })"),
                3, 12),
      "student      teacher                                                    losses\n"
      "------------------------------------------------------------------------------\n"
      "embedding  embedding                                             hidden_states\n"
      "layer 1      layer 4                           attention_scores, hidden_states\n"
      "layer 2      layer 8                           attention_scores, hidden_states\n"
      "layer 3     layer 12  attention_scores, hidden_states, attention_distributions\n"
      "layer 3     layer 12                                          minilm_relations\n"
      "layer 3     layer 11                                          minilm_relations\n"
      "head            head                                               soft_labels\n"
      "head          labels                                               hard_labels\n");
}

TEST(LossTable, LeavesOutWhatNoLossCompares) {
  EXPECT_EQ(
      LossTable(
          Objective(
              "layers: LAST loss { hidden_states { states: INNER } } loss { attention_distributions {} }"),
          2, 4),
      "student  teacher                                  losses\n"
      "--------------------------------------------------------\n"
      "layer 1  layer 3  hidden_states, attention_distributions\n"
      "layer 2  layer 4                 attention_distributions\n");
  EXPECT_EQ(
      LossTable(
          Objective("loss { hidden_states { states: LAYERS } } loss { hidden_states { states: LAST } }"), 2,
          2),
      "student  teacher                        losses\n"
      "----------------------------------------------\n"
      "layer 1  layer 1                 hidden_states\n"
      "layer 2  layer 2  hidden_states, hidden_states\n");
  EXPECT_EQ(LossTable(Objective("loss { hidden_states { states: EMBEDDING } }"), 2, 2),
            "student      teacher         losses\n"
            "-----------------------------------\n"
            "embedding  embedding  hidden_states\n");
}

TEST(LossTable, NamesLayersWithoutScores) {
  models::ResolvedArchitecture student;
  student.hidden = 8;
  student.heads = 2;
  student.layers.resize(2);
  student.layers[0].mixer.mutable_uniform_attention();
  student.layers[1].mixer.mutable_self_attention();
  EXPECT_EQ(LossTable(Objective("loss { attention_scores {} } loss { hidden_states { states: MIXER } }"), 2,
                      4, &student),
            "student  teacher                                                          losses\n"
            "--------------------------------------------------------------------------------\n"
            "layer 1  layer 2  no attention_scores (uniform_attention), hidden_states (mixer)\n"
            "layer 2  layer 4                         attention_scores, hidden_states (mixer)\n");
}

TEST(LossTable, AsksForALayerMapOnlyWhereLayersAreCompared) {
  EXPECT_EQ(LossTable(Objective("loss { minilm_relations {} } loss { soft_labels {} }"), 3, 2),
            "student  teacher            losses\n"
            "----------------------------------\n"
            "layer 3  layer 2  minilm_relations\n"
            "head        head       soft_labels\n");
  EXPECT_THROW(LossTable(Objective("loss { hidden_states { states: EMBEDDING } }"), 3, 2), Error);
}

}  // namespace
}  // namespace thimble::tools
