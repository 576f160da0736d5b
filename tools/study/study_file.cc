#include "tools/study/study_file.h"

#include <filesystem>

#include "base/config.h"
#include "base/error.h"

namespace thimble::tools {
namespace fs = std::filesystem;

StudyFile LoadStudy(const std::string& where, const Options& options) {
  StudyFile file;
  file.directory = where;
  file.path = where + "/study.textproto";
  if (fs::is_regular_file(where)) {
    file.path = where;
    file.directory = fs::path(where).parent_path().string();
    if (file.directory.empty()) file.directory = ".";
  } else if (!fs::exists(file.path)) {
    throw BadRequest(where, "no study here: " + file.path + " does not exist", "",
                     "a directory made by `thimble init`, or a study file");
  }
  ReadText(file.path, &file.study);
  for (const auto& assignment : options.set) Override(assignment, &file.study);
  if (options.assume_label_order) file.study.mutable_teacher()->set_assume_label_order(true);
  Validate(file.study, file.path);
  return file;
}

}  // namespace thimble::tools
