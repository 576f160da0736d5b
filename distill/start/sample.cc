#include "distill/start/sample.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace thimble::distill {
namespace {

constexpr int64_t kBatchRows = 32;
constexpr int64_t kGroupTokens = 8192;  // bounds the memory of the teacher's inner activations

struct Sequence {
  at::Tensor ids, segments, mask;  // [T], cut after the last real token
  int64_t tokens = 0;
};

std::vector<Sequence> SortedSequences(const std::vector<models::Batch>& batches) {
  std::vector<Sequence> sequences;
  for (const models::Batch& batch : batches) {
    for (int64_t row = 0; row < batch.rows(); ++row) {
      at::Tensor real = batch.mask[row].nonzero();
      if (real.size(0) == 0) continue;
      int64_t length = real.max().item<int64_t>() + 1;
      auto cut = [&](const at::Tensor& t) { return t[row].slice(0, 0, length); };
      sequences.push_back({cut(batch.ids), cut(batch.segments), cut(batch.mask), real.size(0)});
    }
  }
  std::stable_sort(sequences.begin(), sequences.end(),
                   [](const Sequence& a, const Sequence& b) { return a.ids.size(0) < b.ids.size(0); });
  return sequences;
}

models::Batch Pad(const std::vector<Sequence>& sequences, size_t begin, size_t end) {
  int64_t rows = end - begin, length = sequences[end - 1].ids.size(0);
  models::Batch batch{at::zeros({rows, length}, at::kLong),
                      at::zeros({rows, length}, at::kLong),
                      at::zeros({rows, length}),
                      {}};
  for (int64_t row = 0; row < rows; ++row) {
    const Sequence& sequence = sequences[begin + row];
    int64_t n = sequence.ids.size(0);
    batch.ids[row].slice(0, 0, n).copy_(sequence.ids);
    batch.segments[row].slice(0, 0, n).copy_(sequence.segments);
    batch.mask[row].slice(0, 0, n).copy_(sequence.mask);
  }
  return batch;
}

Rows Pack(const std::vector<Sequence>& sequences) {
  Rows rows;
  for (size_t begin = 0; begin < sequences.size(); begin += kBatchRows) {
    size_t end = std::min(sequences.size(), begin + kBatchRows);
    rows.batches.push_back(Pad(sequences, begin, end));
    rows.places.push_back(rows.batches.back().mask.flatten().nonzero().flatten());
    rows.tokens += rows.places.back().size(0);
  }
  return rows;
}

at::Tensor PackTokens(const at::Tensor& padded, const at::Tensor& places) {  // [B, T, h] -> [n, h]
  return padded.flatten(0, 1).index_select(0, places);
}

}  // namespace

Split SplitRows(const std::vector<models::Batch>& batches, int64_t tokens) {
  std::vector<Sequence> sequences = SortedSequences(batches);
  THIMBLE_CHECK(!sequences.empty(), "the sample has no real token");
  int64_t total = std::accumulate(sequences.begin(), sequences.end(), int64_t{0},
                                  [](int64_t sum, const Sequence& s) { return sum + s.tokens; });
  double share = std::min(1.0, static_cast<double>(tokens) / total);
  std::vector<Sequence> kept, group;
  Split split;
  int64_t group_tokens = 0;
  auto close_group = [&] {
    if (!group.empty()) split.rest.push_back(Pack(group));
    group.clear();
    group_tokens = 0;
  };
  for (size_t i = 0; i < sequences.size(); ++i) {
    bool last_chance = kept.empty() && i + 1 == sequences.size();
    if (static_cast<int64_t>((i + 1) * share) > static_cast<int64_t>(i * share) || last_chance) {
      kept.push_back(sequences[i]);
      continue;
    }
    group.push_back(sequences[i]);
    group_tokens += sequences[i].tokens;
    if (group_tokens >= kGroupTokens) close_group();
  }
  close_group();
  split.kept = Pack(kept);
  return split;
}

at::Tensor PackedEmbeddingInput(const models::Model& model, const Rows& rows) {
  std::vector<at::Tensor> parts;
  for (size_t b = 0; b < rows.batches.size(); ++b) {
    parts.push_back(PackTokens(models::EmbeddingInput(model, rows.batches[b]), rows.places[b]));
  }
  return at::cat(parts);
}

at::Tensor PackedEmbeddingSum(const models::Model& model, const Rows& rows) {
  std::vector<at::Tensor> parts;
  for (size_t b = 0; b < rows.batches.size(); ++b) {
    parts.push_back(PackTokens(models::EmbeddingSum(model, rows.batches[b]), rows.places[b]));
  }
  return at::cat(parts);
}

std::vector<at::Tensor> Padded(const Rows& rows, const at::Tensor& x) {
  std::vector<at::Tensor> all;
  int64_t first = 0;
  for (size_t b = 0; b < rows.batches.size(); ++b) {
    const int64_t count = rows.batches[b].rows(), length = rows.batches[b].ids.size(1);
    const at::Tensor& places = rows.places[b];
    at::Tensor padded = at::zeros({count * length, x.size(1)}, x.options());
    padded.index_copy_(0, places, x.slice(0, first, first + places.size(0)));
    first += places.size(0);
    all.push_back(padded.view({count, length, x.size(1)}));
  }
  return all;
}

at::Tensor PackedContext(const models::Model& model, int layer, const proto::Mixer& mixer, const Rows& rows,
                         const at::Tensor& x) {
  std::vector<at::Tensor> parts;
  const std::vector<at::Tensor> padded = Padded(rows, x);
  for (size_t b = 0; b < rows.batches.size(); ++b) {
    const at::Tensor context =
        models::ComputeMixer(model, layer, mixer, padded[b], rows.batches[b], {}).context;
    if (!context.defined()) return {};
    parts.push_back(PackTokens(context, rows.places[b]));
  }
  return at::cat(parts);
}

}  // namespace thimble::distill
