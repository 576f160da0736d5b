// modeling_thimble.py, with which transformers computes a student: hub/modeling_base.py and the kinds that
// the student has, each from its own file.
#pragma once
#include <string>

#include "models/arch/architecture.h"

namespace thimble::models {

std::string ModelingText(const ResolvedArchitecture& shape);

}  // namespace thimble::models
