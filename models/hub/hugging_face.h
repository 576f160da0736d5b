// How Hugging Face's BERTs spell what a Model holds.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "models/arch/head.h"

namespace thimble::models {

// Encoders that compute what BERT's does, under other names.
enum class Family {
  kBert,
  kDistilBert,  // Sanh et al., 2019: no token types, no pooler; its classifier differs (pre_classifier, ReLU)
  kRoberta,     // Liu et al., 2019: a classifier of its own, positions from padding_idx + 1
  kMobileBert,  // Sun et al., 2020: bottlenecks, stacked blocks, NoNorm; perhaps no pooler
  kElectra,     // Clark et al., 2020: a narrow embedding; no pooler
  kConvBert,  // Jiang et al., 2020: half of the heads convolve, grouped blocks, a narrow embedding; no pooler
};
std::optional<Family> FamilyOfModelType(std::string_view model_type);
std::string ModelTypes();                // "bert, distilbert, ..."
std::string_view Prefix(Family family);  // "bert."

// The heads that a pooler and a head of ours can come from.
enum class PooledHead {
  kBert,               // pooler.dense, tanh, classifier
  kRobertaClassifier,  // classifier.dense, tanh, classifier.out_proj
};

// Its tensor for one of our weights, without the prefix; empty if the family has no such weight (a narrow
// embedding, a second stacked block, fit_dense; DistilBERT's token types and pooler). MobileBERT has `stacks`
// blocks a layer: the last has BERT's names, the others stand in a list.
std::string HuggingFaceName(const std::string& weight, TaskHead head, Family family = Family::kBert,
                            PooledHead pooled = PooledHead::kBert, int stacks = 1);

}  // namespace thimble::models
