// Every message that a text file may hold, from the schema: docs/reference.md.
#pragma once
#include <string>

namespace thimble::tools {

// Markdown, lines of at most 120 columns: a section for each file of the schema, in it each message once,
// with its fields.
std::string ReferenceText();

}  // namespace thimble::tools
