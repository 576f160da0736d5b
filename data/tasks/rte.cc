// Recognising Textual Entailment, the joined sets of RTE 1, 2, 3 and 5: does the first text entail the
// second?
#include "data/entailment.h"
#include "data/readers/indexed_pair.h"

namespace thimble::data {

TaskEntry rte() { return IndexedPair("RTE", kTwoWay, kTwoWayNames); }

}  // namespace thimble::data
