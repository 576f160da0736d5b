// Small studies for the tests of spaces and strategies.
#pragma once
#include <string>

#include "base/config.h"
#include "search/space.h"

namespace thimble::search {

// `layer` is the content of space.layer blocks; `vary` e.g. "[STACKS, RATIO]"; `constraint` may be empty.
inline proto::Study MakeStudy(const std::string& layer, const std::string& vary,
                              const std::string& constraint, int layers = 6) {
  proto::Study study;
  ParseText(R"(teacher { model: "teacher" hidden: 768 } data { directory: "glue" task { mrpc {} } }
               recipe { optimizer { adamw { learning_rate: 1e-4 } } }
               space { hidden: 540 heads: 12 embedding { trigram {} } layers: )" +
                std::to_string(layers) + " " + layer + "} " +
                (constraint.empty() ? "" : "constraint { parameters { " + constraint + " } } ") +
                R"(stage { name: "only" evaluator { untrained {} } trials: 10 vary: )" + vary + "}",
            "study", &study);
  return study;
}

inline const char kAnyLayer[] = "layer { mixer { self_attention {} } ffn { expression {} } } ";
inline const char kPaperLimit[] = "min: 15000000 max: 16000000 counting: PAPER";
inline const SpaceContext kContext = {.classes = 2, .teacher_hidden = 768};

inline StageSpace MakeSpace(const proto::Study& study, const SpaceContext& context = kContext) {
  return StageSpace(study, study.stage(0), SeedArchitecture(study.space(), context), context);
}

}  // namespace thimble::search
