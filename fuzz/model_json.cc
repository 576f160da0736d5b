// config.json and the index of many weight files.
#include "fuzz/fuzz.h"
#include "models/arch/architecture.h"
#include "models/hub/hub_config.h"
#include "models/hub/settings.h"
#include "models/hub/weight_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thimble::models;
  thimble::Expecting(data, size, [](std::string_view text) { ParseWeightIndex("fuzz.json", text); });
  thimble::Expecting(data, size, [](std::string_view text) {
    const HubConfig config("config.json", text);
    config.AnswersQuestions();
    config.Problem();
    config.Names();
    if (config.family()) CanonicalArchitecture(config.Architecture());
  });
  return thimble::Expecting(data, size, [](std::string_view text) {
    constexpr int kClasses = 3;
    const HubConfig config("config.json", text);
    ReadSettings(config, "no directory");
    config.LabelIds();
    config.Labels(kClasses);
  });
}
