#include "search/same_study.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <sstream>

#include "base/config.h"
#include "base/error.h"
#include "search/controls.h"

namespace thimble::search {
namespace {

constexpr char kStudyFact[] = "study";
constexpr char kInputFact[] = "input: ";  // and its name

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

// What the stage's results follow from: the study without later stages, without where its data lie, and
// without a ready checkpoint that another stage trains.
proto::Study Determining(const proto::Study& study, int stage) {
  proto::Study kept = study;
  kept.mutable_stage()->DeleteSubrange(stage + 1, kept.stage_size() - stage - 1);
  kept.mutable_data()->clear_directory();
  if (!TrainsReady(study, stage)) kept.clear_ready();
  return kept;
}

// Without any place: what the places hold is among the inputs, or is told apart by who reads it (text).
std::string Unplaced(proto::Study study) {
  study.mutable_teacher()->clear_model();
  if (study.has_ready()) study.set_ready("");
  if (study.warmup().sliced().has_model()) study.mutable_warmup()->mutable_sliced()->set_model("");
  if (study.warmup().has_corpus()) study.mutable_warmup()->mutable_corpus()->clear_path();
  return CanonicalText(study);
}

// "stage[0].trials: 5 -> 6", at most three of them.
std::string Differences(const proto::Study& before, const proto::Study& now) {
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  differencer.Compare(before, now);
  std::istringstream lines(report);
  std::string text, line;
  for (int i = 0; i < 3 && std::getline(lines, line); ++i) text += (i ? "; " : "") + line;
  return text;
}

void CheckSameInput(const std::string& stage, const std::string& input, const std::string& before,
                    const std::string& now) {
  if (before != now)
    throw BadRequest("stage " + Quoted(stage), "was begun with another content of " + input, now,
                     before + ", as it was; what has changed is for a new directory");
}

}  // namespace

void CheckSameStudy(const proto::Study& study, int index, const Inputs& inputs, int id, Store* store) {
  const auto now = Determining(study, index);
  const std::string& name = study.stage(index).name();
  const auto kept = store->Fact(id, kStudyFact);
  bool placed = kept.has_value();  // goes by the paths
  for (const auto& [input, hash] : inputs)
    if (const auto before = store->Fact(id, kInputFact + input)) {
      placed = false;
      CheckSameInput(name, input, *before, hash);
    }
  proto::Study before;
  if (kept && !google::protobuf::TextFormat::ParseFromString(*kept, &before))
    throw BadRequest("stage " + Quoted(name), "its stored study cannot be read; the store was edited");
  const bool same =
      !kept || (placed ? CanonicalText(before) == CanonicalText(now) : Unplaced(before) == Unplaced(now));
  if (!same)
    throw BadRequest("stage " + Quoted(name), "was begun with another study file", Differences(before, now),
                     "the study file as it was; run a changed one in a new directory");
  for (const auto& [input, hash] : inputs)
    if (!store->Fact(id, kInputFact + input)) store->SetFact(id, kInputFact + input, hash);
  if (!kept) store->SetFact(id, kStudyFact, CanonicalText(now));
}

void CheckStoredInputs(const std::string& stage, const Inputs& inputs, const Store& store) {
  const auto id = store.FindStage(stage);
  if (!id) return;
  for (const auto& [input, hash] : inputs)
    if (const auto before = store.Fact(*id, kInputFact + input)) CheckSameInput(stage, input, *before, hash);
}

}  // namespace thimble::search
