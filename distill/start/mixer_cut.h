// Private to start/: what a mixer's inside starts as, of the teacher's self-attention. Each kind that takes
// something over is a file in cuts/ and a line in cuts.inc; others start drawn, and their output linear is
// fitted to what the teacher's layer does.
#pragma once
#include <string>
#include <vector>

#include "distill/start/heads.h"
#include "distill/start/reader.h"

namespace thimble::distill {

proto::Mixer AttentionOf(const Heads& heads);  // a teacher's kind of mixer

struct MixerCutInput {
  const models::Model& teacher;
  const std::string teacher_scope;  // "layer.2.attention."
  const Heads teacher_heads;
  const at::Tensor order;  // of the teacher's heads, the most useful first, [H] int64
  const bool sort_heads;   // CutOptions
  const Reader reader;     // of the state that the teacher's layer reads
  const at::Tensor embed;  // E [d, K], P [d, D]: basis.h
  const at::Tensor p;
  const bool weigh_scores;
  const proto::Mixer& mixer;
  const std::string scope;  // of the student's weights, which are overwritten
  models::Model& student;
  const Random random;
};
struct MixerCut {
  std::string name;  // the mixer's
  void (*cut)(const MixerCutInput& in) = nullptr;
  Heads (*heads)(const models::ResolvedArchitecture& shape,
                 const proto::Mixer& mixer) = nullptr;  // of the student's mixer
  // Those of its weights, within its scope and where it has them, that make its kernel (Ops::ShowKernel) and
  // are fitted by gradient (kernel_fit.h).
  std::vector<std::string> kernel = {};
};
const MixerCut* CutOf(const proto::Mixer& mixer);  // nullptr: nothing is taken over

// Queries, keys, values and output of the teacher's heads as `heads` heads of the student. Heads as wide as
// the teacher's are its most useful ones. Where widths differ and numbers too, the teacher's are merged or
// split (ShareHeads). Of each product of two matrices the nearest of the head's rank.
void CutHeads(const MixerCutInput& in, const Heads& heads);

}  // namespace thimble::distill
