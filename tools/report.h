// A study in words and pictures: what describe, search, show and export share.
#pragma once
#include <string>
#include <vector>

#include "models/arch/architecture.h"
#include "search/controller.h"
#include "search/store.h"
#include "tools/common.h"
#include "tools/front.h"

namespace thimble::search {
class Workbench;
}

namespace thimble::tools {

// Classes of the task and width of the teacher; the teacher's own files when they are there, else teacher.hidden of the study.
// Error (exit 2) if neither says.
// `directory`: the study's, whose measured latencies serve; nothing is written.
search::SpaceContext ContextOf(const proto::Study& study, const std::string& directory = "");
int TeacherLayers(const proto::Study& study);  // 0: unknown

// Precision and threads: decided at the first run, read back ever after.
void UseStoredChoices(const StudyFile& file, search::Store* store, search::Workbench* bench);

// Size of each stacks x ratio choice: rows of (choice, parameters).
std::vector<std::vector<std::string>> FeedForwardChoices(const proto::Space& space, const models::Shape& largest);
std::string Grouped(double count);  // 16,777,216

// "linear_attention; " or "5 heads; " before a layer's blocks; nothing of BERT's own mixer.
std::string BesidesBerts(const proto::Mixer& mixer);

std::string TrialText(const std::vector<search::StageResult>& results);
// The best trial of each stage, how sure its lead is, the verdict against the controls, and the front of the last stage; of each
// target.
std::string ResultText(const std::vector<search::StageResult>& results, const Front& front = {});
// One self-contained page: a scatter plot per stage and the table; no network.
std::string ReportHtml(const StudyFile& file, const std::vector<search::StageResult>& results, const Front& front = {});

}  // namespace thimble::tools
