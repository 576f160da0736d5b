// float32, or bfloat16 matrix products over float32 weights.
#pragma once
#include "models/torch/autocast.h"
#include "proto/recipe.pb.h"

namespace thimble::train {

// AUTO to FLOAT32 or BFLOAT16 by what the CPU multiplies natively. Decide once, store, pass on.
proto::Precision ResolvePrecision(proto::Precision precision);

using models::Autocast;

}  // namespace thimble::train
