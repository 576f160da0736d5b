// Text protobuf. The first letter says which message: a(rchitecture), r(ecipe), t(ask).
#include "base/config.h"
#include "fuzz/fuzz.h"
#include "models/arch/architecture.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "proto/architecture.pb.h"
#include "proto/recipe.pb.h"
#include "proto/task.pb.h"

namespace {

using namespace thimble;

template <typename Kind>
Kind Read(std::string_view text) {
  Kind message, again;
  ParseText(text, "fuzz.textproto", &message);
  ParseText(PrintText(message), "printed", &again);
  THIMBLE_CHECK(CanonicalText(message) == CanonicalText(again), "what was printed reads as another message");
  return message;
}

void ReadArchitecture(std::string_view text) {
  const auto architecture = Read<proto::Architecture>(text);
  const models::ResolvedArchitecture shape = models::Resolve(architecture, "fuzz.textproto");
  models::ArchitectureHash(architecture);
  models::DeployedParameters(shape, 2);
  models::MultiplyAdds(shape, 128);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  return Expecting(data + 1, size - 1, [&](std::string_view text) {
    switch (data[0]) {
      case 'a':
        return ReadArchitecture(text);
      case 'r':
        return static_cast<void>(Read<proto::Recipe>(text));
      case 't':
        return static_cast<void>(Read<proto::Task>(text));
    }
  });
}
