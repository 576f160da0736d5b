#include "proto/descriptors.h"

namespace thimble::proto {
namespace {
const unsigned char kBytes[] = {
#include "proto/descriptors.inc"
};
}  // namespace

std::string_view DescriptorSet() { return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes)}; }

}  // namespace thimble::proto
