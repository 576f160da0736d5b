// The schema's own source information: field comments, which protobuf drops from the generated code.
#pragma once
#include <string_view>

namespace thimble::proto {

// A serialised google.protobuf.FileDescriptorSet of every file in proto/, made with --include_source_info.
std::string_view DescriptorSet();

}  // namespace thimble::proto
