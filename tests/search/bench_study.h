// A study of one stage over a small teacher in a directory, with a warm-up on text: for tests of what scores
// candidates.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "models/hub/pretrained.h"
#include "proto/deployment.pb.h"
#include "search/evaluators/study_scorer.h"
#include "tests/data/scratch.h"
#include "tests/models/fixtures.h"

namespace thimble::search {

// `losses` of the objective, `evaluator` of the stage.
inline std::string StudyText(const std::string& folder, const std::string& losses,
                             const std::string& evaluator) {
  return "teacher { model: '" + folder + "/teacher' } data { directory: '" + folder +
         "' holdout: 0.25 task { custom { train: 'train.tsv' dev: 'train.tsv' first: 'text' label: 'label' "
         "labels: ['no', 'yes'] } } } "
         "warmup { sliced { rows: 36 validate_rows: 12 } corpus { path: '" +
         folder +
         "/text.txt' } } "
         "space { vocabulary: 18 positions: 32 hidden: 12 heads: 4 layers: 2 embedding { plain {} } "
         "layer { mixer { self_attention {} } ffn { expression {} stacks: [1, 2] ratio: ['1', '1/2'] } } } "
         "recipe { precision: FLOAT32 batching { size: 8 max_length: 32 } objective { " +
         losses + " } optimizer { adamw { learning_rate: 1e-3 } } } stage { name: 'only' vary: STACKS " +
         evaluator + " trials: 4 }";
}

class WorkbenchTest : public testing::Test {
 protected:
  WorkbenchTest() {
    const std::vector<std::string> words = {"a",      "heron", "stood", "in",    "the", "water", "and",
                                            "waited", "for",   "fog",   "where", "did", "it"};
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (const auto& word : words) vocabulary += word + "\n";
    std::string rows = "text\tlabel\n", text;
    for (int i = 0; i < 48; ++i) {
      std::string line;
      for (int j = 0; j < 4 + i % 7; ++j)
        line += (j ? " " : "") + words[(5 * i + j * (1 + i % 3)) % words.size()];
      rows += line + "\t" + (i % 2 ? "yes" : "no") + "\n";
      text += line + "\n";
    }
    scratch_.Write("train.tsv", rows);
    scratch_.Write("text.txt", text);
    std::filesystem::create_directories(scratch_.path() + "/teacher");
    scratch_.Write("teacher/vocab.txt", vocabulary);
    SaveTeacher(1);
    deployment_.set_cache("none");
  }

  void SaveTeacher(uint64_t seed) const {
    const auto teacher = models::ShakenModel(
        "vocabulary: 18 positions: 32 hidden: 24 heads: 4 ffn_hidden: 48 embedding { plain {} }" +
            models::LayerText(models::kGeluBlock) + models::LayerText(models::kGeluBlock),
        2, 0, seed);
    models::SavePretrained(teacher, {"no", "yes"}, scratch_.path() + "/teacher");
  }

  proto::Study Study(const std::string& losses = "loss { hidden_states {} } loss { soft_labels {} }",
                     const std::string& evaluator = "evaluator { short_distillation {} }") const {
    proto::Study study;
    ParseText(StudyText(scratch_.path(), losses, evaluator), "study", &study);
    return study;
  }

  std::unique_ptr<StudyScorer> Open(const proto::Study& study, const Choices& choices = {}) const {
    auto bench = std::make_unique<StudyScorer>(study, scratch_.path(), deployment_);
    bench->Use(choices);
    return bench;
  }

  Choices Measured(const std::string& evaluator, int threads) {
    deployment_.set_threads(threads);
    return StudyScorer(Study("loss { soft_labels {} }", evaluator), scratch_.path(), deployment_).Measure();
  }

  std::string WarmUp() const { return scratch_.path() + "/work/warmup.safetensors"; }

  const data::Scratch scratch_;
  proto::Deployment deployment_;
};

inline std::vector<proto::Architecture> Candidates(const proto::Study& study, const StudyScorer& bench) {
  std::vector<proto::Architecture> candidates(3, SeedArchitecture(study.space(), bench.context()));
  candidates[1].mutable_layer(0)->mutable_ffn()->set_stacks(2);
  candidates[2].mutable_layer(1)->mutable_ffn()->set_ratio("1/2");
  return candidates;
}

}  // namespace thimble::search
