// Steps 2 to 7: the teacher's weights in the student's coordinates. All in float64; rotating and cutting
// weights by principal directions follows SliceGPT (Ashkboos et al., ICLR 2024), here for post-LN blocks.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "distill/start/parts.h"

namespace thimble::distill {
namespace {

constexpr double kTableDeviation = 0.05;  // of a narrow token table
constexpr double kUnusedDeviation = 0.002;

// The best affine guess of a teacher state from its first K coordinates b = B h: h ~ slope b + offset. With K
// = D it is exact.
struct Reader {
  at::Tensor slope;       // [D, K]
  at::Tensor offset;      // [D]
  at::Tensor mean;        // [K], of b
  at::Tensor spread;      // [K, K]: lower Cholesky factor of the covariance of b
  at::Tensor spread_one;  // [K + 1, K + 1]: of the second moments of [b 1]
};

Reader MakeReader(const Moments& state, const at::Tensor& directions) {
  Reader reader;
  at::Tensor cross = directions.matmul(state.covariance);  // [K, D]
  at::Tensor covariance = cross.matmul(directions.t());
  reader.mean = directions.mv(state.mean);
  reader.spread = at::linalg_cholesky(covariance);
  reader.slope = at::cholesky_solve(cross, reader.spread).t().contiguous();
  reader.offset = state.mean - reader.slope.mv(reader.mean);
  // [b 1] = [[spread, mean], [0, 1]] times whitened coordinates: triangular, with the constant first.
  int64_t k = reader.mean.size(0);
  reader.spread_one = at::zeros({k + 1, k + 1}, at::kDouble);
  reader.spread_one.slice(0, 1).slice(1, 1).copy_(reader.spread);
  reader.spread_one.slice(0, 1).select(1, 0).copy_(reader.mean);
  reader.spread_one[0][0] = 1;
  return reader;
}

// Factors whose product left^T right [n, p] is the nearest of rank `rank` to a^T b, nearness weighted by the
// Cholesky factors of the second moments of what stands on either side (undefined: unweighted).
struct Factors {
  at::Tensor left, right;  // [rank, n], [rank, p]; rows beyond the rank of a^T b are zero
};
Factors Truncate(const at::Tensor& a, const at::Tensor& b, const at::Tensor& spread_a,
                 const at::Tensor& spread_b, int64_t rank) {
  auto weighted = [](const at::Tensor& x, const at::Tensor& spread) {
    return (spread.defined() ? x.matmul(spread) : x).t();
  };
  auto unweighted = [](const at::Tensor& x, const at::Tensor& spread) {
    return spread.defined() ? at::linalg_solve_triangular(spread, x, /*upper=*/false, /*left=*/false) : x;
  };
  auto [qa, ra] = at::linalg_qr(weighted(a, spread_a));
  auto [qb, rb] = at::linalg_qr(weighted(b, spread_b));
  auto [u, s, vh] = at::linalg_svd(ra.matmul(rb.t()), /*full_matrices=*/false);
  int64_t used = std::min(rank, s.size(0));
  at::Tensor root = s.slice(0, 0, used).sqrt().unsqueeze(1);
  at::Tensor left = root * qa.matmul(u.slice(1, 0, used)).t();
  at::Tensor right = root * qb.matmul(vh.slice(0, 0, used).t()).t();
  auto pad = [&](const at::Tensor& x) { return at::constant_pad_nd(x, {0, 0, 0, rank - used}); };
  left = unweighted(left, spread_a);
  right = unweighted(right, spread_b);
  at::Tensor signs = Signs(right);
  return {pad(left * signs), pad(right * signs)};
}

class Cutter {
 public:
  Cutter(const models::Model& teacher, const TeacherRecord& record, const Basis& basis, bool weigh_scores,
         models::Model* student, Random random)
      : teacher_(teacher),
        record_(record),
        basis_(basis),
        p_(basis.Matrix()),
        weigh_scores_(weigh_scores),
        student_(*student),
        random_(random) {}

  void Embedding();
  void Attention(int layer, int teacher_layer, bool repeats);
  // `taken`: blocks of this teacher layer's neurons that earlier student layers hold.
  void FeedForward(int layer, int teacher_layer, bool repeats, int taken);
  void Ends();
  void WakeUnusedDirections();

 private:
  at::Tensor Teacher(const std::string& name) const { return teacher_.weights.at(name).to(at::kDouble); }
  void Set(const std::string& name, const at::Tensor& value) { student_.weights.at(name).copy_(value); }
  void SetFirstRows(const std::string& name, const at::Tensor& value);
  at::Tensor Noise(const std::string& name, int64_t rows, int64_t columns, double deviation);
  at::Tensor NarrowTable(const at::Tensor& tokens);

  const models::Model& teacher_;
  const TeacherRecord& record_;
  const Basis& basis_;
  const at::Tensor p_;  // [d, D]
  const bool weigh_scores_;
  models::Model& student_;
  Random random_;
};

at::Tensor Cutter::Noise(const std::string& name, int64_t rows, int64_t columns, double deviation) {
  Random stream = random_.Fork(name);
  at::Tensor noise = at::empty({rows, columns}, at::kDouble);
  double* values = noise.mutable_data_ptr<double>();
  for (int64_t i = 0; i < noise.numel(); ++i) values[i] = deviation * stream.Normal();
  return noise;
}

void Cutter::SetFirstRows(const std::string& name, const at::Tensor& value) {
  at::Tensor& weight = student_.weights.at(name);
  int64_t rows = std::min(weight.size(0), value.size(0));
  weight.slice(0, 0, rows).copy_(value.slice(0, 0, rows));
}

// T' = T P^T factored to the table's width, tokens weighted by the square root of 1 + their count.
at::Tensor Cutter::NarrowTable(const at::Tensor& tokens) {
  int64_t width = student_.shape.embedding_width(), kept = std::min<int64_t>(width, tokens.size(1));
  at::Tensor gram = tokens.t().matmul(tokens * (1 + record_.token_counts).unsqueeze(1));
  at::Tensor b = std::get<1>(at::linalg_eigh(gram)).flip({1}).slice(1, 0, kept).t();  // [E, d]
  b = b * Signs(b);
  at::Tensor table = tokens.matmul(b.t());
  double scale = kTableDeviation / std::max(1e-12, table.std().item<double>());
  at::Tensor& project = student_.weights.at("embedding.project.weight");
  project.zero_();
  // The current token's columns: the middle third of a trigram's, all of a factorised embedding's.
  const int64_t first = student_.shape.trigram > 0 ? width : 0;
  project.slice(1, first, first + kept).copy_(b.t() / scale);
  student_.weights.at("embedding.project.bias").zero_();
  return table * scale;
}

void Cutter::Embedding() {
  at::Tensor tokens = Teacher("embedding.token").matmul(p_.t());
  at::Tensor& table = student_.weights.at("embedding.token");
  if (student_.shape.projected() > 0) tokens = NarrowTable(tokens);
  table.slice(1, 0, tokens.size(1)).copy_(tokens);
  SetFirstRows("embedding.position", Teacher("embedding.position").matmul(p_.t()));
  SetFirstRows("embedding.segment", Teacher("embedding.segment").matmul(p_.t()));
}

void Cutter::Attention(int layer, int teacher_layer, bool repeats) {
  int from = teacher_layer - 1;
  std::string t = "layer." + std::to_string(from) + ".attention.",
              s = "layer." + std::to_string(layer) + ".attention.";
  int reads = repeats ? BlockNorm(from) : from == 0 ? 0 : BlockNorm(from - 1);
  Reader reader = MakeReader(record_.states[reads], basis_.directions);
  // Rows act on [1 b].
  auto with_bias = [&](const std::string& name) {
    at::Tensor w = Teacher(t + name + ".weight");
    at::Tensor b = Teacher(t + name + ".bias") + w.mv(reader.offset);
    return at::cat({b.unsqueeze(1), w.matmul(reader.slope)}, 1);
  };
  at::Tensor query = with_bias("query"), key = with_bias("key");
  at::Tensor value = Teacher(t + "value.weight").matmul(reader.slope);
  at::Tensor value_level = Teacher(t + "value.bias") + Teacher(t + "value.weight").mv(reader.offset);
  at::Tensor out = p_.matmul(Teacher(t + "out.weight"));
  at::Tensor out_bias = p_.mv(Teacher(t + "out.bias"));

  const int64_t wide = teacher_.shape.head_width(), rank = student_.shape.head_width();
  const int64_t theirs = teacher_.shape.heads, ours = student_.shape.heads;
  auto part = [&](const at::Tensor& x, int64_t dim, int64_t head) {
    return x.slice(dim, head * wide, (head + 1) * wide);
  };
  // Attention rows sum to one: what a value adds to every token goes to the output bias, with what truncation
  // loses at the mean state.
  for (int64_t head = 0; head < theirs; ++head)
    out_bias += part(out, 1, head).mv(part(value_level, 0, head) + part(value, 0, head).mv(reader.mean));

  // Student heads that split one teacher head share its scores and are dealt the components of what it moves.
  const int64_t splits = ours % theirs == 0 ? ours / theirs : 1;
  Factors dealt;
  const double scale = std::pow(static_cast<double>(rank) / wide, 0.25);
  const auto shares = ShareHeads(theirs, ours);
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
    const at::Tensor spread = weigh_scores_ ? reader.spread_one : at::Tensor();
    Factors scores = Truncate(at::cat(q), at::cat(k), spread, spread, rank);
    Factors moved;
    const auto known = static_cast<int64_t>(q.size()) * wide;
    scored.push_back(known);
    if (splits == 1) {
      moved = Truncate(at::cat(o), at::cat(v), {}, reader.spread, rank);
      moving.push_back(known);
    } else {
      const int64_t of = shares[head][0].head, slot = head % splits;
      if (slot == 0)
        dealt = Truncate(part(out, 1, of).t(), part(value, 0, of), {}, reader.spread, splits * rank);
      moved = {dealt.left.slice(0, slot, splits * rank, splits),
               dealt.right.slice(0, slot, splits * rank, splits)};
      moving.push_back((wide - slot + splits - 1) / splits);
    }
    queries.push_back(scores.left * scale);
    keys.push_back(scores.right * scale);
    values.push_back(moved.right);
    outs.push_back(moved.left.t());
    out_bias -= moved.left.t().mv(moved.right.mv(reader.mean));
  }
  query = at::cat(queries);
  key = at::cat(keys);
  at::Tensor embed = basis_.embed.t();  // [K, d]
  at::Tensor key_weight = key.slice(1, 1).matmul(embed), value_weight = at::cat(values).matmul(embed);
  // Rows beyond what the teacher gives a head: query and output are zero there, so the function is the same,
  // and noise on the other factor lets gradients in.
  for (int64_t head = 0; head < ours; ++head) {
    auto wake = [&](at::Tensor& x, const std::string& name, int64_t used) {
      if (used >= rank) return;
      x.slice(0, head * rank + used, (head + 1) * rank)
          .copy_(Noise(s + name + std::to_string(head), rank - used, p_.size(0), 0.02));
    };
    wake(key_weight, "key", scored[head]);
    wake(value_weight, "value", moving[head]);
  }
  Set(s + "query.weight", query.slice(1, 1).matmul(embed));
  Set(s + "query.bias", query.select(1, 0));
  Set(s + "key.weight", key_weight);
  Set(s + "key.bias", key.select(1, 0));
  Set(s + "value.weight", value_weight);
  Set(s + "value.bias", at::zeros({rank * ours}));
  Set(s + "out.weight", repeats ? at::zeros({p_.size(0), rank * ours}) : at::cat(outs, 1));
  Set(s + "out.bias", repeats ? at::zeros({p_.size(0)}) : out_bias);
}

void Cutter::FeedForward(int layer, int teacher_layer, bool repeats, int taken) {
  int from = teacher_layer - 1;
  std::string t = "layer." + std::to_string(from) + ".ffn.0.";
  Reader reader =
      MakeReader(record_.states[repeats ? BlockNorm(from) : AttentionNorm(from)], basis_.directions);
  const models::LayerShape& shape = student_.shape.layers[layer];
  const at::Tensor& order = record_.neurons[from];
  at::Tensor up = Teacher(t + "up.weight"), up_bias = Teacher(t + "up.bias") + up.mv(reader.offset);
  up = up.matmul(reader.slope).matmul(basis_.embed.t());
  at::Tensor down = p_.matmul(Teacher(t + "down.weight"));
  for (int stack = 0; stack < shape.stacks; ++stack) {
    std::string s = "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack) + ".";
    int64_t begin = std::min<int64_t>(int64_t{taken + stack} * shape.width, order.size(0));
    int64_t end = std::min<int64_t>(begin + shape.width, order.size(0));
    at::Tensor chosen = order.slice(0, begin, end);
    SetFirstRows(s + "up.weight", up.index_select(0, chosen));
    SetFirstRows(s + "up.bias", up_bias.index_select(0, chosen));
    // A further block reads a state that has been through a LayerNorm: the teacher's output columns are at
    // the wrong place there. With zero columns the block is the identity until it is fitted.
    student_.weights.at(s + "down.weight").zero_();
    student_.weights.at(s + "down.bias").zero_();
    if (stack > 0 || repeats) continue;
    student_.weights.at(s + "down.weight").slice(1, 0, end - begin).copy_(down.index_select(1, chosen));
    Set(s + "down.bias", p_.mv(Teacher(t + "down.bias")));
  }
}

void Cutter::Ends() {
  Set("fit_dense.weight", p_.t());
  Set("fit_dense.bias", at::zeros({p_.size(1)}));
  if (student_.classes > 0 && student_.head == models::Head::kTokens) {  // reads states, as the pooler does
    Set("head.weight", Teacher("head.weight").matmul(p_.t()));
    Set("head.bias", Teacher("head.bias"));
  }
  if (!student_.weights.Has("pooler.weight")) return;
  Set("pooler.weight", Teacher("pooler.weight").matmul(p_.t()));
  Set("pooler.bias", Teacher("pooler.bias"));
  Set("head.weight", Teacher("head.weight"));
  Set("head.bias", Teacher("head.bias"));
}

// A student wider than its teacher has d - D directions in which its states are zero. Small weights read from
// them: the function stays, and gradients reach what writes there.
void Cutter::WakeUnusedDirections() {
  int64_t width = p_.size(0);
  if (width == basis_.directions.size(0)) return;
  at::Tensor unused = at::eye(width, at::kDouble) - basis_.embed.matmul(basis_.embed.t());
  auto ends_with = [](const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
  };
  for (auto& [name, tensor] : student_.weights) {
    bool reads = name == "pooler.weight" || name == "fit_dense.weight" ||
                 (name == "head.weight" && student_.head == models::Head::kTokens);
    for (const char* part : {"query.weight", "key.weight", "value.weight", "up.weight"})
      reads |= ends_with(name, part);
    if (!reads) continue;
    at::Tensor noise = Noise(name, tensor.size(0), width, kUnusedDeviation).matmul(unused);
    Set(name, tensor.to(at::kDouble) + noise);
  }
}

}  // namespace

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

void CutTeacher(const models::Model& teacher, const TeacherRecord& record, const Basis& basis,
                const std::vector<int>& layer_map, bool weigh_scores, models::Model* student, Random random) {
  Cutter cutter(teacher, record, basis, weigh_scores, student, random);
  cutter.Embedding();
  int taken = 0;
  for (size_t layer = 0; layer < layer_map.size(); ++layer) {
    const bool repeats = Repeats(layer_map, layer);
    cutter.Attention(layer, layer_map[layer], repeats);
    taken = repeats ? taken + student->shape.layers[layer - 1].stacks : 0;
    cutter.FeedForward(layer, layer_map[layer], repeats, taken);
  }
  cutter.Ends();
  cutter.WakeUnusedDirections();
}

}  // namespace thimble::distill
