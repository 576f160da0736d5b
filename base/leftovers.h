// Names under which a file or directory lies beside its place while it is written, and what a killed process
// leaves under them.
#pragma once
#include <string>

namespace thimble {

std::string PartialName(const std::string& path);   // PATH.partial-PID: what will be renamed to PATH
std::string ReplacedName(const std::string& path);  // PATH.old-PID: a directory that makes way for a new one

// Locks an open file or directory that lies under one of these names, for as long as it is open: it is then
// no leftover, whoever asks (process ids mean nothing to another container).
void HoldPartial(int file);

// Clears what processes left that are no more: a partial PATH is removed; a replaced one, too, but if PATH
// itself is missing it is put back: the process ended between its two renames.
void ClearLeftovers(const std::string& path);

}  // namespace thimble
