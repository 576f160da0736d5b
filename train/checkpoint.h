// The file that lets a training run go on where it was stopped: docs/formats.md, "Checkpoint".
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "train/cohort.h"

namespace thimble::optim {
class Optimizer;
}

namespace thimble::train {

// Where a run stands, apart from its tensors. Random streams are functions of seed, epoch and step, so this
// is all.
struct RunState {
  int epoch = 0;      // the one under way
  int64_t batch = 0;  // of that epoch, the next one
  struct MemberState {
    MemberResult result;
    double loss_sum = 0;                                     // over the batches of this epoch
    double best = -std::numeric_limits<double>::infinity();  // of MemberResult::best_epoch
  };
  std::vector<MemberState> members;
};

// What makes a run the one it is: part (as named in an error) to value. The members' starting weights and
// views are not in it.
using Identity = std::map<std::string, std::string>;
Identity IdentityOf(const Job& job);
// The parts of which earlier versions said something else.
Identity FormerIdentityOf(const Job& job);

struct MemberTensors {
  models::Weights weights;  // the member's own tensors, not copies
  optim::Optimizer* optimizer;
  models::Weights best;  // of its best epoch so far; empty unless Recipe.keep is BEST
};

void WriteCheckpoint(const std::string& path, const Identity& identity, const RunState& state,
                     const std::vector<MemberTensors>& members);
// False if there is no such file. `formerly`: what its identity may say instead. Fills weights and optimizers
// in place. Error (exit 2) on a file that is damaged, no checkpoint, or of another run; names what differs.
// Weights and optimizers are untouched then.
bool ReadCheckpoint(const std::string& path, const Identity& identity, const Identity& formerly,
                    RunState* state, const std::vector<MemberTensors>& members);

}  // namespace thimble::train
