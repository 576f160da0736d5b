// The C library's allocator, set for training.
#pragma once

namespace thimble::train {

// Keeps freed memory in the process, so that a step's tensors reuse the pages of the last step instead of
// having the kernel map and clear them anew. For the whole process; call it once, before threads start.
void TuneAllocator();

}  // namespace thimble::train
