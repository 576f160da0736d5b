#include "tools/run/tasks.h"

#include <CLI/CLI.hpp>
#include <map>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "proto/deployment.pb.h"
#include "proto/task.pb.h"
#include "tools/run/splits.h"
#include "train/batch.h"
#include "train/task_model.h"

namespace thimble::tools {

void AddTasks(CLI::App& app, TaskRequest* request) {
  app.add_option("--task", request->task, "task name");
  app.add_option("--mix", request->mix,
                 "instead: file with several tasks to mix in one run (message Mix of proto/task.proto)");
  app.add_option("--data", request->data,
                 "directory that holds the tasks' folders, e.g. glue/ with glue/MRPC");
  app.add_option("--rows", request->rows, "first training rows only; 0: all")->check(CLI::NonNegativeNumber);
}

models::TaskHead TaskPart::head() const { return train::HeadOf(task->kind); }

std::string TaskMix::Names() const {
  std::string names;
  for (const auto& part : parts) names += (names.empty() ? "" : ", ") + part.task->name;
  return names;
}

namespace {

TaskMix ReadMix(const TaskRequest& request) {
  proto::Mix file;
  ReadText(request.mix, &file);
  if (file.part_size() == 0)
    throw BadRequest(request.mix + ": part", "nothing to mix", "none", "part { task { mrpc {} } } ...");
  TaskMix mix{.exponent = file.exponent(), .mixed = true};
  std::set<std::string> names;
  for (int i = 0; i < file.part_size(); ++i) {
    const auto& part = file.part(i);
    const std::string where = request.mix + ": part[" + std::to_string(i) + "]";
    const std::string directory = part.has_directory() ? part.directory() : request.data;
    const auto& task = data::FindTask(part.task(), directory);
    if (task.train.empty()) throw BadRequest(where + ".task", "task " + task.name + " has no training file");
    if (!names.insert(task.name).second)
      throw BadRequest(where + ".task", "a task is mixed once; a custom task has a name of its own",
                       task.name);
    mix.parts.push_back({.task = &task,
                         .directory = directory,
                         .rows = part.has_rows() ? part.rows() : request.rows,
                         .weight = part.weight(),
                         .teacher = part.teacher()});
  }
  return mix;
}

}  // namespace

TaskMix ReadTasks(const TaskRequest& request) {
  if (request.task.empty() == request.mix.empty())
    throw BadRequest("--task, --mix", "one of them says what is learnt",
                     request.task.empty() ? "neither" : "both");
  if (request.data.empty())
    throw BadRequest("--data", "a task's rows are read from a directory", "none", "e.g. glue/");
  if (!request.mix.empty()) return ReadMix(request);
  return {.parts = {{.task = &FindTrainable(request.task, request.data),
                     .directory = request.data,
                     .rows = request.rows}}};
}

std::vector<TaskData> LoadTasks(const TaskMix& mix, const std::string& model_directory, int max_length,
                                const proto::Deployment& deployment) {
  std::vector<TaskData> all;
  for (const auto& part : mix.parts) {
    const auto load = [&](const std::string& file, int rows) {
      return LoadSplit(*part.task, part.directory, file, model_directory, rows, max_length,
                       deployment.threads(), deployment.cache());
    };
    all.push_back({.train = load(part.task->train, part.rows), .dev = load(part.task->dev, 0)});
  }
  return all;
}

Teachers::Teachers(const TaskMix& mix, bool assume_label_order) {
  std::map<std::string, models::Pretrained> read;  // by directory
  std::map<std::pair<std::string, const data::TaskEntry*>, models::Pretrained*>
      known;  // in that task's order
  for (const auto& part : mix.parts) {
    if (part.teacher.empty()) {
      of_part_.push_back(nullptr);
      continue;
    }
    if (read.count(part.teacher) == 0) read[part.teacher] = models::LoadPretrained(part.teacher);
    auto& teacher = known[{part.teacher, part.task}];
    if (teacher == nullptr) {
      loaded_.push_back(std::make_unique<models::Pretrained>(read.at(part.teacher)));
      teacher = loaded_.back().get();
      models::RequireHead(*teacher, part.classes(), part.task->name, part.head());
      train::TakeLabelOrder(*part.task, assume_label_order, teacher);
    }
    of_part_.push_back(teacher);
  }
}

void Teachers::RequireVocabulary(const models::ResolvedArchitecture& student) const {
  for (const auto& teacher : loaded_)
    if (teacher->model.shape.vocabulary != student.vocabulary)
      throw BadRequest(teacher->directory + ": vocabulary", "must be the student's",
                       std::to_string(teacher->model.shape.vocabulary), std::to_string(student.vocabulary));
}

bool KeepsHead(const models::Pretrained& base, const TaskMix& mix) {
  return !mix.mixed && models::HasHead(base.model, mix.parts[0].classes(), mix.parts[0].head());
}

std::vector<models::Pretrained> WithHeads(const models::Pretrained& base, const TaskMix& mix, uint64_t seed,
                                          bool assume_label_order) {
  const Random random = Random(seed).Fork("head");
  const auto add = [](models::Pretrained* model, const TaskPart& part, const Random& stream) {
    models::AddHead(model, part.classes(), part.task->labels, stream, part.head());
  };
  if (!mix.mixed) {
    const auto& part = mix.parts[0];
    auto model = base;
    if (KeepsHead(base, mix)) {
      train::TakeLabelOrder(*part.task, assume_label_order, &model);
    } else {
      if (base.model.classes > 0)
        Warn(base.directory + " has " + models::DescribeHead(base.model.classes, base.model.head) + "; " +
             part.task->name + " needs " + models::DescribeHead(part.classes(), part.head()) +
             ": it is replaced");
      add(&model, part, random);
    }
    return {model};
  }
  // The first head that reads a pooler makes one where there is none; the others then share it.
  auto shared = base;
  for (const auto& part : mix.parts)
    if (part.head() == models::TaskHead::kPooled) {
      add(&shared, part, random.Fork(part.task->name));
      break;
    }
  std::vector<models::Pretrained> all;
  for (const auto& part : mix.parts) {
    all.push_back(shared);
    add(&all.back(), part, random.Fork(part.task->name));
  }
  return all;
}

TrainingLength LengthOf(const TaskMix& mix, const Teachers& teachers, const models::Pretrained* student,
                        const models::ResolvedArchitecture& shape) {
  TrainingLength longest;
  for (size_t i = 0; i < mix.parts.size(); ++i) {
    const auto* trained = teachers.loaded(i);
    if (trained == nullptr && student != nullptr && KeepsHead(*student, mix)) trained = student;
    const auto length = LengthLike(trained, *mix.parts[i].task, shape);
    if (length.tokens > longest.tokens) longest = length;
  }
  return longest;
}

}  // namespace thimble::tools
