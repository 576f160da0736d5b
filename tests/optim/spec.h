// An optimizer from its text.
#pragma once
#include <string>

#include "base/config.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {

inline proto::Optimizer Spec(const std::string& text) {
  proto::Optimizer spec;
  ParseText(text, "test", &spec);
  return spec;
}

}  // namespace thimble::optim
