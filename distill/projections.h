// Projections of a student's states to its teacher's width, for losses that compare states: fit_dense, which
// all share, and fit_dense.S of state S alone, of layers + 1 states.
#pragma once
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::proto {
class Objective;
}

namespace thimble::distill {

// Error (exit 2) if a loss compares hidden states and the student has neither its teacher's width nor
// fit_dense. `where`: the objective's place in messages.
void CheckProjection(const proto::Objective& objective, const models::Model& student, int teacher_hidden,
                     const std::string& where);

// Gives a student fit_dense.S for each state S that a loss with projections of its own compares: copies of
// fit_dense, where they are not there yet. And linears that losses have of their own, fit_dense.NAME, drawn.
// `models`: of one student, sharing all but their heads; they share these too.
void AddOwnProjections(const proto::Objective& objective, const std::vector<models::Model*>& models);

// A linear that a loss has of its own (LossEntry::own_linears).
std::string OwnLinear(const std::string& name);

// The name of the linear, "fit_dense" or "fit_dense.S". The shared one stands for a state's `own` until
// training adds that: both begin alike.
std::string ProjectionOf(const models::Weights& weights, int state, bool own);

}  // namespace thimble::distill
