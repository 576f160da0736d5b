// A teacher where only time and memory are of interest.
#pragma once
#include "models/model.h"

namespace thimble::bench {

constexpr char kBertBase[] = "bert-base";

// BERT-base's shape (Devlin et al., NAACL 2019) with random weights.
models::Model BertBase(int classes);

}  // namespace thimble::bench
