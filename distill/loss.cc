#include "distill/loss.h"

#include <ATen/ATen.h>

#include "base/catalogue.h"
#include "proto/objective.pb.h"

namespace thimble::distill {

#define LOSS(name) LossEntry name();
#include "distill/losses.inc"
#undef LOSS

const std::vector<LossEntry>& Losses() {
  static const std::vector<LossEntry> entries = [] {
    std::vector<LossEntry> list;
#define LOSS(kind)                 \
  list.push_back(distill::kind()); \
  list.back().name = #kind;
#include "distill/losses.inc"
#undef LOSS
    return list;
  }();
  return entries;
}

const LossEntry& EntryOf(const proto::Loss& loss) { return EntryIn(Losses(), loss); }

std::string LossNames(bool (*wanted)(const LossEntry&)) { return NamesIn(Losses(), wanted); }

double AnswersIn(const models::Batch& batch) {
  const bool masked_tokens =
      batch.labels.defined() && batch.labels.dim() == 2 && !batch.answer_mask.defined();
  return masked_tokens ? (batch.labels >= 0).sum().item<double>() : static_cast<double>(batch.rows());
}

}  // namespace thimble::distill
