// Tasks that a message describes: a user's own data (proto/task.proto, message Custom), and SQuAD with other
// reading options.
#pragma once
#include <string>

#include "data/task.h"

namespace thimble::data {

bool IsTaskFile(const std::string& name);  // rather than a task's name
proto::Task ReadTaskFile(const std::string& path);

// `entry` with what `task` sets. The same message and directory give the same object. `data_directory` empty:
// unknown.
const TaskEntry& Configured(const TaskEntry& entry, const proto::Task& task,
                            const std::string& data_directory);

}  // namespace thimble::data
