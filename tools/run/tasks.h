// The tasks that a command trains on: one (--task), or several mixed in one run (--mix, message Mix of
// proto/task.proto).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "proto/deployment.pb.h"
#include "tools/options.h"
#include "tools/run/row_length.h"

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
  models::TaskHead head() const;
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

struct TaskData {
  data::Dataset train, dev;
};
std::vector<TaskData> LoadTasks(const TaskMix& mix, const std::string& model_directory, int max_length,
                                const proto::Deployment& deployment);

// The teachers of a mix, each directory read once, its head checked against the task and put in the order of
// its labels (train/task_model.h). Empty pointers where a part names none.
class Teachers {
 public:
  Teachers(const TaskMix& mix, bool assume_label_order);
  const models::Pretrained* loaded(size_t part) const { return of_part_[part]; }
  const models::Model* of(size_t part) const {
    return loaded(part) == nullptr ? nullptr : &loaded(part)->model;
  }
  // Error (exit 2) if one reads other tokens than a student of that shape.
  void RequireVocabulary(const models::ResolvedArchitecture& student) const;

 private:
  std::vector<std::unique_ptr<models::Pretrained>> loaded_;
  std::vector<const models::Pretrained*> of_part_;
};

bool KeepsHead(const models::Pretrained& base, const TaskMix& mix);  // whether WithHeads does
// A model for each part: they share all tensors of `base` but the head. One part keeps the head of `base` if
// it fits, in the order of the task's labels; else heads are new.
std::vector<models::Pretrained> WithHeads(const models::Pretrained& base, const TaskMix& mix, uint64_t seed,
                                          bool assume_label_order);

// What a run reads where its recipe does not say: as much as the part that needs most. A part's length is its
// teacher's; without one, that of `student` where it keeps its head.
TrainingLength LengthOf(const TaskMix& mix, const Teachers& teachers, const models::Pretrained* student,
                        const models::ResolvedArchitecture& shape);

}  // namespace thimble::tools
