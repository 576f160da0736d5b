// Architectures of nearly one parameter count that differ in everything else: what a comparison of scores is
// made on, so that no score wins by counting parameters. No LibTorch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "models/arch/architecture.h"
#include "models/arch/head.h"
#include "proto/architecture.pb.h"

namespace thimble::search {

struct OneSize {
  int64_t parameters = 0;  // deployed
  double tolerance = 0.1;  // each has parameters * [1 - tolerance, 1 + tolerance]
  int classes = 2;
  models::TaskHead head = models::TaskHead::kPooled;
  int trigram = 128;        // width of the embedding, of all
  std::vector<int> layers;  // depths, taken in turn, `together` architectures of each
  std::vector<int> hidden;  // widths to choose from; multiples of the teacher's heads
  int together = 1;
};

// `count` different ones. Depth in turn, width uniformly; stacks 1 to 4 and ratio 1 to 1/4 uniformly in every
// layer; the base width of the feed-forward blocks then follows from a size drawn within the tolerance, and
// is between a quarter and eight times the width. Expressions as a search proposes them around BERT's: one
// for all layers or one a layer, half and half. Vocabulary, positions, heads and pooler are the teacher's.
// Error (exit 2) that says so if the sizes cannot be met.
std::vector<proto::Architecture> DrawOfOneSize(const models::ResolvedArchitecture& teacher,
                                               const OneSize& wanted, int count, const Random& random);

}  // namespace thimble::search
