// Threads of the whole process, and the flag that Ctrl-C sets.
#pragma once
#include <cstddef>
#include <functional>

namespace thimble {

int Cores();  // that this process may use

// Runs body(i) for i in [0, n) on up to `threads` threads; the first exception is rethrown after all have
// stopped.
void ParallelFor(size_t n, int threads, const std::function<void(size_t)>& body);

// From now on SIGINT and SIGTERM set a flag (a second one ends the process at once).
void InstallInterruptHandler();
bool InterruptRequested();

}  // namespace thimble
