#include "train/memory.h"

#include <malloc.h>

namespace thimble::train {

void TuneAllocator() {
  // 32 MiB is the largest threshold that glibc accepts; above it a block still comes from the kernel.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
}

}  // namespace thimble::train
