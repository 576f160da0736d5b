// Texts of catalogues' entries, for suites that run over them.
#pragma once
#include <google/protobuf/descriptor.h>

#include <string>

namespace thimble::search {

// "name {}"; of an entry whose message is itself a choice, "name { first {} }".
inline std::string KindText(const google::protobuf::Descriptor* catalogue, const std::string& name) {
  const auto* kind = catalogue->FindFieldByName(name)->message_type()->FindOneofByName("kind");
  return kind == nullptr ? name + " {}" : name + " { " + kind->field(0)->name() + " {} }";
}

}  // namespace thimble::search
