// The tasks that a command trains on: one (--task), or several mixed in one run (--mix, message Mix of
// proto/task.proto).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tools/common.h"

namespace thimble::tools {

struct TaskRequest {
  std::string task, mix, data;
  int rows = 0;
};
void AddTasks(CLI::App& app, TaskRequest* request);  // --task, --mix, --data, --rows

struct TaskPart {
  const data::TaskEntry* task = nullptr;
  std::string directory;  // of the data
  int rows = 0;           // first training rows; 0: all
  double weight = 1;
  std::string teacher;  // directory; empty: none is named
  int classes() const { return static_cast<int>(task->labels.size()); }
  models::Head head() const;
};
struct TaskMix {
  std::vector<TaskPart> parts;
  double exponent = 1;
  bool mixed = false;  // by --mix: results go to a folder for each task
  std::string Names() const;
};
// Error (exit 2) if not exactly one of --task and --mix is given, a task has no training file, or two parts
// have the same name.
TaskMix ReadTasks(const TaskRequest& request);

int TokenLimit(const TaskMix& mix, const models::Shape& shape);  // of the task that needs most

struct TaskData {
  data::Dataset train, dev;
};
std::vector<TaskData> LoadTasks(const TaskMix& mix, const std::string& model_directory, int max_length,
                                const proto::Deployment& deployment);

// The teachers of a mix, each directory read once and its head checked against the task. Empty pointers where
// a part names none.
class Teachers {
 public:
  explicit Teachers(const TaskMix& mix);
  const models::Model* of(size_t part) const { return models_[part]; }
  // Error (exit 2) if one reads other tokens than a student of that shape.
  void RequireVocabulary(const models::Shape& student) const;

 private:
  std::vector<std::unique_ptr<models::Pretrained>> loaded_;
  std::vector<const models::Model*> models_;
};

// A model for each part: they share all tensors of `base` but the head. One part keeps the head of `base` if
// it fits; else heads are new.
std::vector<models::Pretrained> WithHeads(const models::Pretrained& base, const TaskMix& mix, uint64_t seed);

}  // namespace thimble::tools
