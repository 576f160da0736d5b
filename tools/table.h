// Tables on a terminal.
#pragma once
#include <string>
#include <vector>

namespace thimble::tools {

// Rows of text in aligned columns, numbers to the right; the first row is the heading.
std::string Table(const std::vector<std::vector<std::string>>& rows);

}  // namespace thimble::tools
