// How much of a text a model answers from. Free of LibTorch.
#pragma once
#include "models/arch/head.h"
#include "models/hub/settings.h"

namespace thimble::models {

// Tokens of a row or window for a model of that head: those it was trained with; where it does not say, the
// tokenizer's model_max_length, at most 512, or 384 of a window of spans. Never more than it has positions.
int ReadLength(const Settings& settings, TaskHead head, int positions);

}  // namespace thimble::models
