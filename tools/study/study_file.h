// The file that a study is.
#pragma once
#include <string>

#include "proto/study.pb.h"
#include "tools/options.h"

namespace thimble::tools {

// study.textproto of a study directory (or a file given directly), overridden, by --assume-label-order too,
// and validated.
struct StudyFile {
  proto::Study study;
  std::string directory, path;
};
StudyFile LoadStudy(const std::string& where, const Options& options);

}  // namespace thimble::tools
