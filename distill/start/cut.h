// Private to start/: a student's weights cut out of its teacher's, steps 2 to 7 of docs/sliced_start.md.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "distill/start/basis.h"

namespace thimble::distill {

// A student layer that takes the same teacher layer as the one before it. It starts as the identity: its
// output linears are zero, its feed-forward blocks take the teacher's next neurons.
inline bool Repeats(const std::vector<int>& layer_map, size_t layer) {
  return layer > 0 && layer_map[layer] == layer_map[layer - 1];
}

// The teacher's LayerNorms (teacher_record.h) whose states a student layer's mixer, and its feed-forward
// block, stand for reading.
int NormBeforeMixer(const std::vector<int>& layer_map, size_t layer);
int NormBeforeBlock(const std::vector<int>& layer_map, size_t layer);

// Overwrites the weights of `student` with steps 2 to 7; LayerNorms stay as they are.
struct CutOptions {
  bool weigh_scores = true;  // factors of query and key are nearest for the sample's states, else for any
  // Heads in their order although all are there, for a supernet that is cropped to fewer of them.
  bool sort_heads = false;
};
void CutTeacher(const models::Model& teacher, const TeacherRecord& record, const Orders& orders,
                const Basis& basis, const std::vector<int>& layer_map, const CutOptions& options,
                models::Model* student, Random random);

}  // namespace thimble::distill
