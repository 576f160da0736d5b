// Tokenized data kept from run to run.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"

namespace thimble::data {

// Where: `wanted` (Deployment.cache), else $THIMBLE_CACHE, else thimble in $XDG_CACHE_HOME or ~/.cache.
// Empty, which is no cache, for "none" and where nothing says.
std::string CacheDirectory(const std::string& wanted);

// Tokenize, through a file in `directory` whose name is a hash of all that its content follows from: the
// rows, the tokenizer, how the task is read, the length. A damaged file is made anew; one that cannot be
// written is done without.
Dataset TokenizeCached(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                       int max_length, int threads, const std::string& directory);

}  // namespace thimble::data
