// How far a model's answers are from its teacher's, row by row, so that two models can be compared on the
// same rows.
#pragma once
#include <vector>

#include "models/model.h"

namespace thimble::train {

// The divergence of each row of logits (Logits in evaluate.h), in nats: KL(teacher, student), of a head on
// tokens the mean of its outputs' over the tokens; of a single output the squared difference.
std::vector<double> Divergences(const std::vector<std::vector<double>>& teacher,
                                const std::vector<std::vector<double>>& student, const models::Model& of);

}  // namespace thimble::train
