// Kinds of the catalogues with fields drawn from their ranges, for tests that no new kind needs a line in.
#pragma once
#include <string>
#include <vector>

#include "base/random.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models {

// Unset half of the time, else from the field's range, small: widths and counts up to 8.
proto::Mixer DrawMixer(const std::string& kind, Random* random);
proto::Mixer DrawBias(const std::string& kind, Random* random);  // self-attention that adds it to its scores
proto::Embedding DrawEmbedding(const std::string& kind, Random* random);
// What blocks of any kind may have: "groups", "monarch", "routed", "merged".
const std::vector<std::string>& Structures();
void DrawStructure(const std::string& what, proto::FeedForward* ffn, Random* random);
// With stacks and ratio, half of the time with a structure; an expression is a valid tree that fits blocks of
// width `outer` with this base of widths.
proto::FeedForward DrawFeedForward(const std::string& kind, int outer, int ffn_hidden, Random* random);

template <typename Entry>
const Entry& OneOfKinds(const std::vector<Entry>& entries, Random* random) {
  return entries[random->Below(entries.size())];
}

}  // namespace thimble::models
