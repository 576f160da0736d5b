// A study as one JSON document: what `show --json` prints, report.html draws and `show --csv` lays out in
// rows. docs/formats.md says what stands where.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "search/controller.h"
#include "tools/report/costs.h"
#include "tools/report/front.h"
#include "tools/study/study_file.h"

namespace thimble::tools {

struct DocumentInput {
  const StudyFile& file;
  std::string where;             // the study as it was asked for, in commands
  std::vector<std::string> set;  // and the overrides
  const std::vector<search::StageResult>& results;
  const Front& front;
  KnownCosts costs{};
  std::string teacher, rows;  // facts (tools/study/study_context.h); empty: the store has none
};

// A function of what is stored: the same study gives the same bytes.
nlohmann::ordered_json StudyDocument(const DocumentInput& input);

// The commands that make and use the study, as typed: [{"what": "...", "command": "..."}].
nlohmann::ordered_json Commands(const DocumentInput& input);
// One word for a POSIX shell.
std::string ShellWord(const std::string& text);

// The directory's last component.
std::string TitleOf(const StudyFile& file);

// The document as text; bytes that are no UTF-8 are replaced. `indent`: as nlohmann::json::dump.
std::string DumpDocument(const nlohmann::ordered_json& document, int indent = -1);

}  // namespace thimble::tools
