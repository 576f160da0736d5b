// What the program prints: that it arrives, and what happens where nobody reads it.
#pragma once

namespace thimble::tools {

// Once, before anything is printed or opened: a closed pipe, and a file that grows beyond its limit, become
// failing writes instead of the end of the process; no file takes the place of a closed standard output.
void PrepareOutput();

// Sees that all that was printed has arrived. Error (exit 1) if it could not be written. Where nobody reads
// it any more (`| head`) the process ends quietly, by SIGPIPE, as common tools do.
void FlushOutput();

// The same in a loop that prints as it goes, without waiting: only once a write has failed.
void CheckOutput();

}  // namespace thimble::tools
