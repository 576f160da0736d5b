// Question NLI (Wang et al., 2019), from SQuAD: does the sentence hold the answer to the question?
#include "data/entailment.h"
#include "data/readers/indexed_pair.h"

namespace thimble::data {

TaskEntry qnli() { return IndexedPair("QNLI", kTwoWay, kTwoWayNames); }

}  // namespace thimble::data
