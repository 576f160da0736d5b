// What a study has before anything is trained: its teacher and its rows.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/task.h"
#include "models/hub/pretrained.h"
#include "proto/deployment.pb.h"
#include "proto/study.pb.h"
#include "search/space.h"

namespace thimble::search {

class StudyData {
 public:
  // Loads teacher and data. Errors (exit 2): StudyScorer's. `directory` is the study's.
  StudyData(const proto::Study& study, const std::string& directory, const proto::Deployment& deployment);

  SpaceContext Context() const;
  int MaxLength() const;  // tokens of a row: the recipe's; where it does not say, the teacher's
  // Makes the fit_dense of a student that was cut out of `start` lead to the teacher's width.
  void ProjectToTeacher(models::Model* student) const;
  // Error (exit 1): a study that is moved while it runs is not begun anew where it was.
  void RequireInPlace() const;
  // Folder of what a training run of the study says to TensorBoard.
  std::string Events(const std::string& run) const { return directory + "/events/" + run; }

  proto::Study study;  // its recipe says MaxLength
  const std::string directory, work;
  const data::TaskEntry& task;
  const models::Pretrained teacher;
  const std::optional<models::Pretrained> start;  // what students are cut out of in the teacher's place
  const std::optional<models::Pretrained> ready;  // with a head for the task, and fit_dense
  data::Dataset train, holdout;  // training rows without the held-out ones; what candidates are ranked on
  std::string rows_hash;         // of both together
  std::vector<std::string> corpus_files;

 private:
  const std::optional<models::Model> taught_;  // start, with what leads its states to the teacher's
  std::function<double(const proto::Architecture&, const proto::LatencyConstraint&)>
      latency_;  // one for all contexts

  models::Pretrained LoadStart() const;
  models::Pretrained LoadReady() const;
  void CheckTokens(const std::string& field, const std::string& directory) const;
  void CheckTeacher() const;
  void TakeTeachersLength();
  void CheckObjective() const;
};

}  // namespace thimble::search
