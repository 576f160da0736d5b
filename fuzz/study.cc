// A study's text and all rules across its fields.
#include "base/config.h"
#include "fuzz/fuzz.h"
#include "search/controller.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thimble;
  return Expecting(data, size, [](std::string_view text) {
    proto::Study study;
    ParseText(text, "fuzz.textproto", &study);
    search::SpaceContext context;
    context.teacher_hidden = 384;
    search::ValidateStudy(study, context, "fuzz.textproto");
  });
}
