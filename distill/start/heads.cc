// Heads of a self-attention in the student's coordinates: rotating and cutting weights by principal
// directions follows SliceGPT (Ashkboos et al., ICLR 2024), here for post-LN blocks. In float64.
#include "distill/start/heads.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "distill/start/mixer_cut.h"
#include "distill/start/reader.h"
#include "models/encoder/resolve.h"

namespace thimble::distill {

Heads HeadsOf(const models::ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  const models::MixerSize size = models::SizeOf(shape, mixer);
  return {size.heads, size.heads > 0 ? size.context / size.heads : 0};
}

std::vector<std::vector<HeadShare>> ShareHeads(int64_t teacher_heads, int64_t student_heads) {
  std::vector<std::vector<HeadShare>> shares(student_heads);
  for (int64_t ours = 0; ours < student_heads; ++ours) {
    for (int64_t theirs = 0; theirs < teacher_heads; ++theirs) {
      // Both in units of 1 / (teacher_heads * student_heads).
      const int64_t begin = std::max(ours * teacher_heads, theirs * student_heads);
      const int64_t end = std::min((ours + 1) * teacher_heads, (theirs + 1) * student_heads);
      if (end > begin)
        shares[ours].push_back(
            {theirs, static_cast<double>(end - begin) / static_cast<double>(student_heads)});
    }
  }
  return shares;
}

namespace {

std::vector<std::vector<HeadShare>> KeepHeads(const at::Tensor& order, int64_t count) {
  std::vector<std::vector<HeadShare>> kept;
  for (int64_t i = 0; i < count; ++i) kept.push_back({{order[i].item<int64_t>(), 1}});
  return kept;
}

}  // namespace

void CutHeads(const MixerCutInput& in, const Heads& heads) {
  const std::string &t = in.teacher_scope, &s = in.scope;
  const auto teacher = [&](const std::string& name) { return in.teacher.weights.at(name).to(at::kDouble); };
  const auto set = [&](const std::string& name, const at::Tensor& value) {
    in.student.weights.at(name).copy_(value);
  };
  // Rows act on [1 b].
  auto with_bias = [&](const std::string& name) {
    at::Tensor w = teacher(t + name + ".weight");
    at::Tensor b = teacher(t + name + ".bias") + w.mv(in.reader.offset);
    return at::cat({b.unsqueeze(1), w.matmul(in.reader.slope)}, 1);
  };
  at::Tensor query = with_bias("query"), key = with_bias("key");
  at::Tensor value = teacher(t + "value.weight").matmul(in.reader.slope);
  at::Tensor value_level = teacher(t + "value.bias") + teacher(t + "value.weight").mv(in.reader.offset);
  at::Tensor out = in.p.matmul(teacher(t + "out.weight"));
  at::Tensor out_bias = in.p.mv(teacher(t + "out.bias"));

  const int64_t theirs = in.teacher_heads.count, wide = in.teacher_heads.width;
  const int64_t ours = heads.count, rank = heads.width;
  auto part = [&](const at::Tensor& x, int64_t dim, int64_t head) {
    return x.slice(dim, head * wide, (head + 1) * wide);
  };
  // Attention rows sum to one: what a value adds to every token goes to the output bias, with what truncation
  // loses at the mean state.
  for (int64_t head = 0; head < theirs; ++head)
    out_bias += part(out, 1, head).mv(part(value_level, 0, head) + part(value, 0, head).mv(in.reader.mean));

  // Student heads that split one teacher head share its scores and are dealt the components of what it moves.
  const int64_t splits = ours % theirs == 0 ? ours / theirs : 1;
  Factors dealt;
  const double scale = std::pow(static_cast<double>(rank) / wide, 0.25);
  const auto shares = rank == wide && (ours < theirs || (ours == theirs && in.sort_heads))
                          ? KeepHeads(in.order, ours)
                          : ShareHeads(theirs, ours);
  std::vector<at::Tensor> queries, keys, values, outs;
  std::vector<int64_t> scored, moving;  // rows of each head that come from the teacher
  for (int64_t head = 0; head < ours; ++head) {
    double total = 0;
    for (const HeadShare& share : shares[head]) total += share.share;
    std::vector<at::Tensor> q, k, v, o;
    for (const HeadShare& share : shares[head]) {
      const double of_scores = std::sqrt(share.share / total), of_values = std::sqrt(share.share);
      q.push_back(part(query, 0, share.head) * of_scores);
      k.push_back(part(key, 0, share.head) * of_scores);
      v.push_back(part(value, 0, share.head) * of_values);
      o.push_back(part(out, 1, share.head).t() * of_values);
    }
    const at::Tensor spread = in.weigh_scores ? in.reader.spread_one : at::Tensor();
    Factors scores = Truncate(at::cat(q), at::cat(k), spread, spread, rank);
    Factors moved;
    const auto known = static_cast<int64_t>(q.size()) * wide;
    scored.push_back(known);
    if (splits == 1) {
      moved = Truncate(at::cat(o), at::cat(v), {}, in.reader.spread, rank);
      moving.push_back(known);
    } else {
      const int64_t of = shares[head][0].head, slot = head % splits;
      if (slot == 0)
        dealt = Truncate(part(out, 1, of).t(), part(value, 0, of), {}, in.reader.spread, splits * rank);
      moved = {dealt.left.slice(0, slot, splits * rank, splits),
               dealt.right.slice(0, slot, splits * rank, splits)};
      moving.push_back((wide - slot + splits - 1) / splits);
    }
    queries.push_back(scores.left * scale);
    keys.push_back(scores.right * scale);
    values.push_back(moved.right);
    outs.push_back(moved.left.t());
    out_bias -= moved.left.t().mv(moved.right.mv(in.reader.mean));
  }
  query = at::cat(queries);
  key = at::cat(keys);
  at::Tensor embed = in.embed.t();  // [K, d]
  at::Tensor key_weight = key.slice(1, 1).matmul(embed), value_weight = at::cat(values).matmul(embed);
  // Rows beyond what the teacher gives a head: query and output are zero there, so the function is the same,
  // and noise on the other factor lets gradients in.
  for (int64_t head = 0; head < ours; ++head) {
    auto wake = [&](at::Tensor& x, const std::string& name, int64_t used) {
      if (used >= rank) return;
      x.slice(0, head * rank + used, (head + 1) * rank)
          .copy_(Noise(in.random, s + name + std::to_string(head), rank - used, in.p.size(0), 0.02));
    };
    wake(key_weight, "key", scored[head]);
    wake(value_weight, "value", moving[head]);
  }
  set(s + "query.weight", query.slice(1, 1).matmul(embed));
  set(s + "query.bias", query.select(1, 0));
  set(s + "key.weight", key_weight);
  set(s + "key.bias", key.select(1, 0));
  set(s + "value.weight", value_weight);
  set(s + "value.bias", at::zeros({rank * ours}));
  set(s + "out.weight", at::cat(outs, 1));
  set(s + "out.bias", out_bias);
}

}  // namespace thimble::distill
