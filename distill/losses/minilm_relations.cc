// Relations of queries, keys and values to themselves, of the student's last layer and one of the teacher's.
// Wang et al., Findings of ACL 2021 (MiniLMv2), equations 4 to 6.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "distill/distributions.h"
#include "distill/loss.h"
#include "distill/projections.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "proto/objective.pb.h"

namespace thimble::distill {
namespace {

using Spec = proto::MiniLmRelations;

// [B, H, T, T] of vectors [B, T, h].
at::Tensor Relation(const at::Tensor& vectors, int64_t heads) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const int64_t width = vectors.size(2) / heads;
  const at::Tensor split =
      vectors.to(at::kFloat).view({vectors.size(0), vectors.size(1), heads, width}).transpose(1, 2);
  return at::matmul(split, split.transpose(2, 3)) / std::sqrt(static_cast<double>(width));
}

const at::Tensor& Vectors(const models::Projections& layer, int part) {
  return part == Spec::QUERY ? layer.query : part == Spec::KEY ? layer.key : layer.value;
}

const char* NameOf(int part) { return part == Spec::QUERY ? "query" : part == Spec::KEY ? "key" : "value"; }

class MiniLmRelations final : public Loss {
 public:
  explicit MiniLmRelations(const Spec& spec)
      : heads_(spec.heads()), teacher_layer_(spec.teacher_layer()), own_(spec.own_projections()) {
    parts_.assign(spec.part().begin(), spec.part().end());
    if (parts_.empty()) parts_ = {Spec::QUERY, Spec::KEY, Spec::VALUE};
  }

  std::vector<int> ProjectionLayers(int layers) const override {
    return {(teacher_layer_ > 0 ? teacher_layer_ : layers) - 1};
  }

  double Things(const models::Batch& batch) const override { return batch.mask.sum().item<double>(); }

  LossSum Compute(const LossInput& input) const override {
    const auto& layers = input.teacher_outputs->projections;
    const int layer = ProjectionLayers(static_cast<int>(layers.size()))[0];
    const models::Projections& teacher = layers[layer];
    const auto of_student = [&](int part) {
      return own_ ? models::Linear(input.student, OwnLinear(NameOf(part)),
                                   input.student_outputs.last_hidden_state)
                  : Vectors(input.student_outputs.projections.back(), part);
    };
    const int64_t heads = heads_ > 0 ? heads_ : input.student.shape.heads;
    LossSum loss;
    for (const int part : parts_) {
      THIMBLE_CHECK(Vectors(teacher, part).defined(), "the teacher's outputs lack the vectors of a layer");
      const auto one =
          AttentionDivergence(Relation(of_student(part), heads), Relation(Vectors(teacher, part), heads),
                              input.batch.mask, proto::KL);
      loss = {loss.sum.defined() ? loss.sum + one.sum : one.sum, one.count + loss.count};
    }
    return loss;
  }

 private:
  const int heads_, teacher_layer_;
  const bool own_;
  std::vector<int> parts_;
};

void Check(const proto::Loss& loss, const std::string& where, const models::ResolvedArchitecture& student,
           const models::ResolvedArchitecture& teacher) {
  const auto& spec = loss.minilm_relations();
  const int heads = spec.heads() > 0 ? spec.heads() : student.heads;
  const int from = spec.teacher_layer() > 0 ? spec.teacher_layer() : static_cast<int>(teacher.layers.size());
  if (from > static_cast<int>(teacher.layers.size()))
    throw BadRequest(where + ".teacher_layer", "the teacher has no such layer",
                     std::to_string(spec.teacher_layer()),
                     "1 to " + std::to_string(teacher.layers.size()) + ", or 0 for the last");
  const models::MixerSize of_student = models::SizeOf(student, student.layers.back().mixer),
                          of_teacher = models::SizeOf(teacher, teacher.layers[from - 1].mixer);
  if (!of_teacher.projections)
    throw BadRequest(where,
                     "the teacher's layer " + std::to_string(from) + " has no queries, keys and values",
                     models::TextOf(teacher.layers[from - 1].mixer), "another teacher_layer");
  const int ours = spec.own_projections() ? student.hidden : of_student.context, theirs = of_teacher.context;
  if (ours % heads != 0 || theirs % heads != 0)
    throw BadRequest(where + ".heads", "must divide the widths of student and teacher", std::to_string(heads),
                     "a divisor of " + std::to_string(ours) + " and " + std::to_string(theirs));
}

}  // namespace

LossEntry minilm_relations() {
  return {.projections = true,
          .make = [](const proto::Loss& spec) -> std::unique_ptr<Loss> {
            return std::make_unique<MiniLmRelations>(spec.minilm_relations());
          },
          .compares_layer =
              [](const proto::Loss& spec, int layer, int layers) {
                return !spec.minilm_relations().own_projections() && layer == layers - 1;
              },
          .own_linears =
              [](const proto::Loss& loss) {
                std::vector<std::string> names;
                const Spec& spec = loss.minilm_relations();
                for (const int part : {Spec::QUERY, Spec::KEY, Spec::VALUE})
                  if (spec.own_projections() &&
                      (spec.part().empty() || std::count(spec.part().begin(), spec.part().end(), part) > 0))
                    names.emplace_back(NameOf(part));
                return names;
              },
          .check = Check};
}

}  // namespace thimble::distill
