// Published sets that come as one JSON document: SQuAD's articles and Adversarial GLUE's lists.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/task.h"

namespace thimble::data {

std::vector<Row> ReadSquad(const TaskEntry& task, const std::string& path, const ReadOptions& options);
std::vector<Row> ReadAdvGlue(const TaskEntry& task, const std::string& path, const ReadOptions& options);

// What is wrong where `answer` does not stand in `passage` where it says, or nothing.
std::optional<Error> CheckAnswer(const std::string& where, const std::string& passage, const Answer& answer);

// Bytes before the character with that index; npos behind the end.
size_t ByteOfCharacter(std::string_view text, int character);

}  // namespace thimble::data
