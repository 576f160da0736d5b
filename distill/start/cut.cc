// Steps 2 to 7: the teacher's weights in the student's coordinates. All in float64; rotating and cutting
// weights by principal directions follows SliceGPT (Ashkboos et al., ICLR 2024), here for post-LN blocks.
#include "distill/start/cut.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "distill/start/basis.h"
#include "distill/start/block_cut.h"
#include "distill/start/heads.h"
#include "distill/start/mixer_cut.h"
#include "distill/start/reader.h"
#include "distill/start/teacher_record.h"
#include "models/encoder/encoder.h"
#include "models/encoder/kinds.h"

namespace thimble::distill {
namespace {

constexpr double kTableDeviation = 0.05;  // of a narrow token table
constexpr double kUnusedDeviation = 0.002;

class Cutter {
 public:
  Cutter(const models::Model& teacher, const TeacherRecord& record, const Orders& orders, const Basis& basis,
         const CutOptions& options, models::Model* student, Random random)
      : teacher_(teacher),
        record_(record),
        orders_(orders),
        basis_(basis),
        p_(basis.Matrix()),
        options_(options),
        student_(*student),
        random_(random) {}

  void Embedding();
  void Mixer(int layer, const proto::Mixer& mixer, const std::vector<int>& layer_map);
  // `taken`: blocks of this teacher layer's neurons that earlier student layers hold.
  void FeedForward(int layer, const std::vector<int>& layer_map, int taken);
  void Ends();
  void WakeUnusedDirections();

 private:
  at::Tensor Teacher(const std::string& name) const { return teacher_.weights.at(name).to(at::kDouble); }
  void Set(const std::string& name, const at::Tensor& value) { student_.weights.at(name).copy_(value); }
  void SetFirstRows(const std::string& name, const at::Tensor& value);
  at::Tensor TableDirections(const at::Tensor& tokens) const;
  at::Tensor NarrowTable(const at::Tensor& tokens);

  const models::Model& teacher_;
  const TeacherRecord& record_;
  const Orders& orders_;
  const Basis& basis_;
  const at::Tensor p_;  // [d, D]
  const CutOptions options_;
  models::Model& student_;
  Random random_;
};

void Cutter::SetFirstRows(const std::string& name, const at::Tensor& value) {
  at::Tensor& weight = student_.weights.at(name);
  int64_t rows = std::min(weight.size(0), value.size(0));
  weight.slice(0, 0, rows).slice(1, 0, value.size(1)).copy_(value.slice(0, 0, rows));
}

// Rows of b [E', d], orthonormal: the first principal directions of T' = T P^T, tokens weighted by the square
// root of 1 + their count. E' is the table's width, but at most d.
at::Tensor Cutter::TableDirections(const at::Tensor& tokens) const {
  const int64_t kept = std::min<int64_t>(student_.shape.embedding_width, tokens.size(1));
  const at::Tensor gram = tokens.t().matmul(tokens * (1 + record_.token_counts).unsqueeze(1));
  const at::Tensor b = std::get<1>(at::linalg_eigh(gram)).flip({1}).slice(1, 0, kept).t();
  return b * Signs(b);
}

// T' factored to the table's width, the second factor in the columns of the current token.
at::Tensor Cutter::NarrowTable(const at::Tensor& tokens) {
  const int64_t width = student_.shape.embedding_width;
  const at::Tensor b = TableDirections(tokens), table = tokens.matmul(b.t());
  const double scale = kTableDeviation / std::max(1e-12, table.std().item<double>());
  at::Tensor& project = student_.weights.at("embedding.project.weight");
  project.zero_();
  const int64_t first = models::EntryOf(student_.shape.embedding).own_part * width;
  project.slice(1, first, first + b.size(0)).copy_(b.t() / scale);
  student_.weights.at("embedding.project.bias").zero_();
  return table * scale;
}

void Cutter::Embedding() {
  at::Tensor tokens = Teacher("embedding.token").matmul(p_.t());
  at::Tensor positions = Teacher("embedding.position").matmul(p_.t()),
             segments = Teacher("embedding.segment").matmul(p_.t());
  if (models::EntryOf(student_.shape.embedding).narrow) {
    // All three in those directions; the linear leads back, until it is fitted.
    const at::Tensor b = TableDirections(tokens);
    for (at::Tensor* table : {&tokens, &positions, &segments}) *table = table->matmul(b.t());
    at::Tensor& project = student_.weights.at("embedding.project.weight");
    project.zero_();
    project.slice(1, 0, b.size(0)).copy_(b.t());
  } else if (student_.shape.projected > 0) {
    tokens = NarrowTable(tokens);
  }
  student_.weights.at("embedding.token").slice(1, 0, tokens.size(1)).copy_(tokens);
  if (student_.weights.Has("embedding.position")) SetFirstRows("embedding.position", positions);
  SetFirstRows("embedding.segment", segments);
}

// A kind without a cut of its own starts as it was drawn, and adds nothing until its output linear is fitted.
void Cutter::Mixer(int layer, const proto::Mixer& mixer, const std::vector<int>& layer_map) {
  const std::string scope = models::MixerScope(layer, mixer) + ".";
  const MixerCut* cut = CutOf(mixer);
  if (cut != nullptr) {
    const int from = layer_map[layer] - 1;
    const proto::Mixer& teachers = teacher_.shape.layers[from].mixer;
    cut->cut({.teacher = teacher_,
              .teacher_scope = models::MixerScope(from, teachers) + ".",
              .teacher_heads = HeadsOf(teacher_.shape, teachers),
              .order = orders_.heads[from],
              .sort_heads = options_.sort_heads,
              .reader = MakeReader(record_.states[NormBeforeMixer(layer_map, layer)], basis_.directions),
              .embed = basis_.embed,
              .p = p_,
              .weigh_scores = options_.weigh_scores,
              .mixer = mixer,
              .scope = scope,
              .student = student_,
              .random = random_});
  }
  const std::string output = scope + models::kOutput;
  if ((cut == nullptr || Repeats(layer_map, layer)) && student_.weights.Has(output + ".weight")) {
    student_.weights.at(output + ".weight").zero_();
    student_.weights.at(output + ".bias").zero_();
  }
}

void Cutter::FeedForward(int layer, const std::vector<int>& layer_map, int taken) {
  const int from = layer_map[layer] - 1;
  const bool repeats = Repeats(layer_map, layer);
  const std::string t = "layer." + std::to_string(from) + ".ffn.0.";
  const Reader reader = MakeReader(record_.states[NormBeforeBlock(layer_map, layer)], basis_.directions);
  const models::LayerShape& shape = student_.shape.layers[layer];
  const at::Tensor& order = orders_.neurons[from];
  at::Tensor up = Teacher(t + "up.weight"), up_bias = Teacher(t + "up.bias") + up.mv(reader.offset);
  up = up.matmul(reader.slope).matmul(basis_.embed.t());
  at::Tensor down = p_.matmul(Teacher(t + "down.weight"));
  const BlockState state = StateOf(reader, basis_.embed);
  const int64_t all = shape.width + shape.ffn.routed().shared();
  for (int stack = 0; stack < shape.stacks; ++stack) {
    const int64_t begin = std::min<int64_t>((taken + stack) * all, order.size(0));
    const at::Tensor chosen = order.slice(0, begin, std::min<int64_t>(begin + all, order.size(0)));
    // A further block reads a state that has been through a LayerNorm: the teacher's output columns are at
    // the wrong place there. With zero columns the block is the identity until it is fitted.
    SetBlocks({up.index_select(0, chosen), up_bias.index_select(0, chosen), down.index_select(1, chosen),
               p_.mv(Teacher(t + "down.bias"))},
              state, shape, "layer." + std::to_string(layer) + ".ffn." + std::to_string(stack) + ".",
              /*writes=*/stack == 0 && !repeats, &student_);
  }
}

void Cutter::Ends() {
  Set("fit_dense.weight", p_.t());
  Set("fit_dense.bias", at::zeros({p_.size(1)}));
  if (student_.classes > 0 &&
      student_.head == models::TaskHead::kTokens) {  // reads states, as the pooler does
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
                 (name == "head.weight" && student_.head == models::TaskHead::kTokens);
    for (const char* part : {"query.weight", "key.weight", "value.weight", "up.weight"})
      reads |= ends_with(name, part);
    if (!reads || tensor.size(1) != width) continue;  // groups read a part
    at::Tensor noise = Noise(random_, name, tensor.size(0), width, kUnusedDeviation).matmul(unused);
    Set(name, tensor.to(at::kDouble) + noise);
  }
}

}  // namespace

int NormBeforeMixer(const std::vector<int>& layer_map, size_t layer) {
  const int from = layer_map[layer] - 1;
  return Repeats(layer_map, layer) ? BlockNorm(from) : from == 0 ? 0 : BlockNorm(from - 1);
}

int NormBeforeBlock(const std::vector<int>& layer_map, size_t layer) {
  const int from = layer_map[layer] - 1;
  return Repeats(layer_map, layer) ? BlockNorm(from) : AttentionNorm(from);
}

void CutTeacher(const models::Model& teacher, const TeacherRecord& record, const Orders& orders,
                const Basis& basis, const std::vector<int>& layer_map, const CutOptions& options,
                models::Model* student, Random random) {
  Cutter cutter(teacher, record, orders, basis, options, student, random);
  cutter.Embedding();
  int taken = 0;
  for (size_t layer = 0; layer < layer_map.size(); ++layer) {
    const bool repeats = Repeats(layer_map, layer);
    const models::LayerShape& shape = student->shape.layers[layer];
    cutter.Mixer(layer, shape.mixer, layer_map);
    for (const proto::Mixer& mixer : shape.beside) cutter.Mixer(layer, mixer, layer_map);
    taken = repeats ? taken + student->shape.layers[layer - 1].stacks : 0;
    cutter.FeedForward(layer, layer_map, taken);
  }
  cutter.Ends();
  cutter.WakeUnusedDirections();
}

}  // namespace thimble::distill
