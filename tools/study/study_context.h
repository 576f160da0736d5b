// What a study's formulas need beside its file, and what its store says of the machine: what describe,
// search, show and export share.
#pragma once
#include <string>

#include "proto/study.pb.h"
#include "search/space.h"
#include "search/store.h"
#include "tools/study/study_file.h"

namespace thimble::search {
class StudyScorer;
}

namespace thimble::tools {

// Classes of the task and width of the teacher; the teacher's own files when they are there, else
// teacher.hidden of the study. Error (exit 2) if neither says. `directory`: the study's, whose measured
// latencies serve; nothing is written.
search::SpaceContext ContextOf(const proto::Study& study, const std::string& directory = "");
int TeacherLayers(const proto::Study& study);  // 0: unknown

// Precision and threads: decided at the first run, read back ever after.
void UseStoredChoices(const StudyFile& file, search::Store* store, search::StudyScorer* bench);

// What reports say of the teacher's scores and of the rows (StudyScorer::TeacherSummary, DataSummary): facts
// of the study's first stage, kept at the first run, so that a report needs neither teacher nor data.
inline constexpr char kTeacherFact[] = "teacher scores", kDataFact[] = "rows";
void KeepSummaries(const StudyFile& file, search::Store* store, search::StudyScorer* bench);
// "accuracy 0.872", of the first metric; empty: nothing is kept.
std::string TeacherText(const StudyFile& file, const search::Store& store);

}  // namespace thimble::tools
