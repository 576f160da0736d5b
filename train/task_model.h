// A model as a task reads it: where models meet tasks.
#pragma once
#include <string>

#include "data/task.h"
#include "models/hub/pretrained.h"

namespace thimble::train {

// LoadPretrained for a command that scores with the model or learns from it. Error (exit 2) if it has no head
// for the task (models::RequireHead), or outputs that are not the task's labels (data/label_order.h).
models::Pretrained LoadTaskModel(const std::string& directory, const data::TaskEntry& task,
                                 bool assume_label_order = false);

// Puts the outputs of a model with a head for the task in the order of its labels, whose names they then
// have, and says so. The weights of other models that share its tensors stay as they are.
void TakeLabelOrder(const data::TaskEntry& task, bool assume_label_order, models::Pretrained* model);

// The task with what came with the model: the threshold for "no answer", and how passages are read where the
// task's message does not say. Says which of the two counts where they differ.
data::TaskEntry WithSettings(const data::TaskEntry& task, const models::Pretrained& model);

// What a run that read rows of `task` at up to `max_length` tokens stores with the model.
models::Settings TrainedWith(const data::TaskEntry& task, int max_length,
                             const models::ResolvedArchitecture& shape);

}  // namespace thimble::train
