#include "train/precision.h"

namespace thimble::train {

proto::Precision ResolvePrecision(proto::Precision precision) {
  if (precision != proto::AUTO) return precision;
#if defined(__x86_64__)
  // Every CPU with AMX-BF16 also has AVX512-BF16.
  if (__builtin_cpu_supports("avx512bf16")) return proto::BFLOAT16;
#endif
  return proto::FLOAT32;
}

}  // namespace thimble::train
