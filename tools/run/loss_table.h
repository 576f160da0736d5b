// What a student learns from, for people.
#pragma once
#include <string>
#include <vector>

#include "models/arch/architecture.h"
#include "proto/objective.pb.h"

namespace thimble::tools {

// "layer 1", "layer 2", "hidden_states, attention_scores".
struct LossRow {
  std::string student, teacher, losses;
};
// One row a place of the student (embedding, each layer, head): what of the teacher or of the labels it is
// compared with, and by which losses. Error (exit 2) where the objective's layer map does not fit the two
// depths. `student`: where it is known, losses on attention scores say which layers have none to compare.
std::vector<LossRow> LossRows(const proto::Objective& objective, int layers, int teacher_layers,
                              const models::ResolvedArchitecture* student = nullptr);
std::string LossTable(const proto::Objective& objective, int layers, int teacher_layers,
                      const models::ResolvedArchitecture* student = nullptr);

}  // namespace thimble::tools
