// Looks up entries of catalogues: visible lists such as distill/losses.inc, whose entries have a `name`, a
// member of a oneof `kind` in a schema.
#pragma once
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "base/config.h"
#include "base/error.h"

namespace thimble {

// The entry of the kind that is set in `message`. CHECK: one is (whoever reads a message validates it), and
// the list has it.
template <typename Entry>
const Entry& EntryIn(const std::vector<Entry>& catalogue, const Message& message) {
  const auto* kind = KindField(message);
  const std::string& name = message.GetDescriptor()->full_name();
  THIMBLE_CHECK(kind != nullptr, name + " without a kind was not validated");
  for (const Entry& entry : catalogue)
    if (entry.name == kind->name()) return entry;
  THIMBLE_CHECK(false, kind->name() + " stands in " + name + " but not in its list");
  return catalogue.front();
}

// Names of the entries that are wanted, "a, b, c", as the list has them.
template <typename Entry, typename Wanted>
std::string NamesIn(const std::vector<Entry>& catalogue, const Wanted& wanted) {
  std::string text;
  for (const Entry& entry : catalogue)
    if (wanted(entry)) text += (text.empty() ? "" : ", ") + entry.name;
  return text;
}

}  // namespace thimble
