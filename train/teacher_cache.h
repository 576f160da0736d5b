// A teacher's outputs over a dataset, made in one pass and kept on disk: every epoch, every cohort and every
// evaluation on the same rows reads them instead of running the teacher again.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "distill/objective.h"
#include "models/model.h"
#include "proto/recipe.pb.h"

namespace thimble::train {

// The file holds float16, without padding, only what the objective looks at: hidden states and scores are
// rounded to 11 significant bits, logits to 22; bfloat16 (8 and 16 bits) where a number is beyond float16's
// 65504. A training run that reads from it is therefore not equal bit for bit to one that runs the teacher;
// which of the two a run does follows from recipe and data alone (Open), so that a resumed run does the same.
// Immutable; may be used from several threads.
class TeacherCache {
 public:
  // Opens the file in `directory`, or makes it (a kill leaves none). Its name is a hash of everything that
  // its content follows from: files of other teachers, data or objectives are left alone. nullptr if the
  // recipe's objective needs no teacher or counts padding, `passes` over the rows are less than two, or the
  // file would be larger than `room` bytes, from which it is taken (nullptr: recipe.teacher_cache_gib for
  // this file alone). `student`: any of those that are taught, of one depth; of several depths the teacher's
  // own shape: the file then holds every layer. Error (exit 1) if the disk is full.
  static std::unique_ptr<TeacherCache> Open(const proto::Recipe& recipe, const models::Model& teacher,
                                            const models::ResolvedArchitecture& student,
                                            const data::Dataset& data, int passes,
                                            const std::string& directory, int64_t* room = nullptr);
  static int64_t Room(const proto::Recipe& recipe);  // recipe.teacher_cache_gib in bytes

  // As Forward(teacher, MakeBatch(data, rows)) with what the objective needs, float32; padding is 0. Layers
  // that the objective does not look at are undefined tensors.
  models::Outputs Get(const std::vector<int>& rows) const;

  const std::string& path() const { return path_; }

 private:
  // What a row's record holds, in this order: states [t, D] of each, scores [H, t, t] of each, query,
  // key and value [t, D] of each, states of mixers [t, D] of each, logits [C] or, of a head on tokens, [t, C]
  // twice.
  struct Layout {
    // Which of those of Outputs.
    std::vector<int> hidden_states, attention_logits, projections, mixer_states;
    int64_t width = 0, heads = 0, classes = 0, layers = 0;
    int64_t projected = 0;  // width of queries, keys and values: a bottleneck's
    bool on_tokens = false;
    std::vector<int64_t> Logits(int64_t tokens) const;  // sizes
    int64_t Numbers(int64_t tokens) const;
  };
  TeacherCache(const models::Model& teacher, const distill::Objective& objective, const data::Dataset& data);
  // False, and no file, if `type` cannot hold a number.
  bool Make(const models::Model& teacher, const data::Dataset& data, bool bfloat16, at::ScalarType type,
            const std::string& path);
  void Map(const std::string& path, at::ScalarType type, bool writable);

  Layout layout_;
  std::string path_;
  std::vector<int64_t> tokens_, starts_;  // of each row; starts in numbers, one more than rows
  at::Tensor numbers_;                    // [all] float16 or bfloat16, the mapped file
};

}  // namespace thimble::train
