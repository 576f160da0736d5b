// The best untrained student of a space: those that the strategy of allocation proposes, sliced, refitted,
// and judged by how far their answers are from the teacher's. docs/allocation.md.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "distill/start/sliced.h"
#include "models/model.h"
#include "search/strategy.h"

namespace thimble::search {

CutDamages ToCutDamages(const distill::Damages& damages);

struct AllocatedStudent {
  std::string rule;  // Strategy::Origin
  proto::Architecture architecture;
  double cost = 0;  // by the limit that was laid out
  // From the teacher's answers, mean over the rows, in nats (a number: squared difference); and of each row.
  double divergence = 0;
  std::vector<double> row_divergences;
};

class Allocator {
 public:
  // All must outlive it. `judge`: rows that `start` has not seen. The start's options want `surgeon`.
  Allocator(const models::Model& teacher, const distill::SlicedStart& start, const data::Dataset& judge,
            int threads, uint64_t seed);

  // The students of the rules within the last of the space's limits, then up to `steps` steps from the best;
  // the least divergence first. Empty if no student of a rule is within it.
  std::vector<AllocatedStudent> Allocate(const StageSpace& space, const proto::Allocation& rules,
                                         int steps = 0);

  // As it was judged, a student of `space`.
  models::Model Make(const StageSpace& space, const proto::Architecture& architecture,
                     distill::SlicedReport* report = nullptr);

 private:
  std::vector<AllocatedStudent> Judge(const StageSpace& space,
                                      const std::vector<proto::Architecture>& candidates);
  // With all heads and neurons: what students of this section are cropped from.
  const models::Model& Supernet(const StageSpace& space, const proto::Architecture& student);

  const models::Model& teacher_;
  const distill::SlicedStart& start_;
  const data::Dataset& judge_;
  const int threads_;
  const uint64_t seed_;
  std::vector<std::vector<double>> answers_;        // the teacher's logits
  std::map<std::string, models::Model> supernets_;  // by their architecture
};

}  // namespace thimble::search
