// A directory's tensors by the name that a Model looks for.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/hub/hugging_face.h"
#include "models/hub/weight_files.h"
#include "models/model.h"

namespace thimble::models {

class ModelTensors {
 public:
  // For a file of no family, which has our names. Error (exit 2) if it holds a weight twice.
  ModelTensors(WeightFiles files, std::optional<Family> family);

  void ReadHeadAs(TaskHead head) { head_ = head; }
  void ReadPooledAs(PooledHead pooled) { pooled_ = pooled; }
  void ReadStacksAs(int stacks) { stacks_ = stacks; }

  bool HasTensor(const std::string& name) const { return tensors_.count(name) > 0; }  // as in the file
  bool Has(const std::string& weight) const { return HasTensor(FileName(weight)); }
  int64_t Rows(const std::string& weight) const;  // CHECK: Has

  // Error (exit 2) that names the weights of the model that the file lacks.
  void CheckHasAll(const std::vector<WeightShape>& weights) const;
  // The tensor as float32; it will not be listed as unused. Error (exit 2) if its shape disagrees with the
  // architecture's; exit 1 if a number of it is NaN or infinite. CHECK: Has.
  at::Tensor Take(const WeightShape& weight);

  int taken() const { return taken_; }
  std::vector<std::string> Rest() const;  // names in the file of what was not taken

 private:
  std::string Source() const { return family_ ? "config.json" : "architecture.textproto"; }
  std::string FileName(const std::string& weight) const;

  WeightFiles files_;
  std::optional<Family> family_;
  TaskHead head_ = TaskHead::kPooled;
  PooledHead pooled_ = PooledHead::kBert;
  int stacks_ = 1;
  int taken_ = 0;
  std::map<std::string, const StoredTensor*> tensors_;
};

}  // namespace thimble::models
