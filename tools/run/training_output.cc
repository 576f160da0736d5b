#include "tools/run/training_output.h"

#include <filesystem>

#include "base/output_directory.h"

namespace thimble::tools {
namespace fs = std::filesystem;

TrainingOutput::TrainingOutput(const std::string& directory)
    : directory_(directory), beside_(fs::path(directory + "/").parent_path().string()) {}

void TrainingOutput::Write(const std::function<void(const std::string& working)>& fill) const {
  PendingOutput out(directory_);
  fill(out.working());
  // Copied: a kill before the end would take what was moved along with the unfinished directory.
  if (fs::is_directory(events())) fs::copy(events(), out.working() + "/events", fs::copy_options::recursive);
  out.Commit();
  DropCheckpoint();
  for (const auto& made : {events(), teacher_cache(), text_cache()}) fs::remove_all(made);
}

void TrainingOutput::DropCheckpoint() const { fs::remove(checkpoint()); }

}  // namespace thimble::tools
