// Winograd NLI (Levesque et al., 2012): 1 where the second sentence, a pronoun resolved, follows from the
// first.
#include "data/entailment.h"
#include "data/readers/indexed_pair.h"

namespace thimble::data {

TaskEntry wnli() {
  auto names = std::vector{kNoEntailmentNames, kEntailmentNames};
  names[0].push_back("not_entailment");
  names[1].push_back("entailment");
  return IndexedPair("WNLI", {"0", "1"}, names);
}

}  // namespace thimble::data
