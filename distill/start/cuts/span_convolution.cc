// The teacher's heads: those that it needs most go on attending, of the others the values are taken over, and
// neighbours weigh alike until it is trained. Without attention all heads are such others.
#include <ATen/ATen.h>

#include "distill/start/heads.h"
#include "distill/start/mixer_cut.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::distill::cuts {
namespace {

Heads Count(const models::ResolvedArchitecture& shape, const proto::Mixer& mixer) {
  const auto [count, width] = models::HeadSizeOf(mixer.span_convolution(), shape.heads, shape.block_width());
  return {count, width};
}

void Cut(const MixerCutInput& in) {
  const Heads heads = Count(in.student.shape, in.mixer);
  const bool attention = in.mixer.span_convolution().attention();
  // As many heads of an attention alone.
  const int64_t width = heads.count * heads.width, hidden = in.p.size(0);
  models::Model attending{
      in.student.architecture, in.student.shape, in.student.classes, in.student.teacher_hidden, {},
      in.student.head};
  for (const char* part : {"query", "key", "value"}) {
    attending.weights.Add(in.scope + part + ".weight", at::zeros({width, hidden}));
    attending.weights.Add(in.scope + part + ".bias", at::zeros({width}));
  }
  for (const char* part : {"out.weight", "out.bias"})
    attending.weights.Add(in.scope + part, at::zeros_like(in.student.weights.at(in.scope + part)));
  CutHeads({.teacher = in.teacher,
            .teacher_scope = in.teacher_scope,
            .teacher_heads = in.teacher_heads,
            .order = in.order,
            .sort_heads = true,
            .reader = in.reader,
            .embed = in.embed,
            .p = in.p,
            .weigh_scores = in.weigh_scores,
            .mixer = in.mixer,
            .scope = in.scope,
            .student = attending,
            .random = in.random},
           heads);
  const auto take = [&](const std::string& to, const std::string& from, int64_t first, int64_t rows) {
    for (const char* part : {".weight", ".bias"})
      in.student.weights.at(in.scope + to + part)
          .copy_(attending.weights.at(in.scope + from + part).narrow(0, first, rows));
  };
  const int64_t half = attention ? width / 2 : width;
  take("query", "query", 0, half);
  if (attention) {
    take("key", "key", 0, half);
    take("value", "value", 0, half);
  }
  take("span.value", "value", width - half, half);
  for (const char* part : {"out.weight", "out.bias"})
    in.student.weights.at(in.scope + part).copy_(attending.weights.at(in.scope + part));
}

}  // namespace

MixerCut span_convolution() { return {.cut = Cut, .heads = Count}; }

}  // namespace thimble::distill::cuts
