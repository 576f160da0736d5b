// run_study STUDY STUDENT: runs a study that `thimble init` wrote, or goes on with it, and writes its best
// student.
#include <cstdio>
#include <exception>
#include <string>

#include <thimble/study.h>

namespace {

void Run(const std::string& directory, const std::string& student) {
  thimble::toolkit::Study study(directory, {.handle_signals = true});
  study.Run();
  const auto best = study.Best();
  std::printf("%s/%d\t%.6f\t%.6f\t%ld\n", best.stage.c_str(), best.number, best.score, best.standard_error,
              static_cast<long>(best.parameters));
  for (const auto& metric : study.Export(student))
    std::printf("%s\t%.6f\n", metric.name.c_str(), metric.value);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: run_study STUDY STUDENT\n");
    return 2;
  }
  try {
    Run(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_study: %s\n", error.what());
    return 1;
  }
}
