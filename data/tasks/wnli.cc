// Winograd NLI (Levesque et al., 2012): 1 where the second sentence, a pronoun resolved, follows from the
// first.
#include "data/indexed_pair.h"

namespace thimble::data {

TaskEntry wnli() { return IndexedPair("WNLI", {"0", "1"}); }

}  // namespace thimble::data
