// Layers in a few words, for tables.
#pragma once
#include <string>
#include <vector>

#include "models/arch/architecture.h"
#include "proto/space.pb.h"

namespace thimble::tools {

std::string Grouped(double count);  // 16,777,216

// "linear_attention; " or "5 heads; " before a layer's blocks; nothing of BERT's own mixer.
std::string BesidesBerts(const proto::Mixer& mixer);
// "2x1/3", "1x384 wide", "none".
std::string BlocksText(const proto::FeedForward& ffn, const std::string& times);
// "256 wide: 4+512 2+1024": heads and neurons of each layer, where that is all there is to say of it.
std::string LayersText(const proto::Architecture& architecture);

// Size of each stacks x ratio choice: rows of (choice, parameters).
std::vector<std::vector<std::string>> FeedForwardChoices(const proto::Space& space,
                                                         const models::ResolvedArchitecture& largest);

}  // namespace thimble::tools
