// That a stage goes on with the study and the inputs that it was begun with.
#pragma once
#include <map>
#include <string>

#include "proto/study.pb.h"
#include "search/store.h"

namespace thimble::search {

// What the study's paths lead to: its field to a hash of the content. A study may move, and its paths with
// it; what they lead to stays.
using Inputs = std::map<std::string, std::string>;

// Checks stage `index`, stored under `id`. Its first opening keeps the study and the inputs; later ones must
// come with the same: Error (exit 2) that names what differs. Later stages of the study may, and its paths.
// Stages that were begun before inputs were kept go by the paths, and keep the inputs from now on.
void CheckSameStudy(const proto::Study& study, int index, const Inputs& inputs, int id, Store* store);

// Error (exit 2) if the stored stage was begun with other inputs; nothing is kept.
void CheckStoredInputs(const std::string& stage, const Inputs& inputs, const Store& store);

}  // namespace thimble::search
