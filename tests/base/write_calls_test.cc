#include "base/write_calls.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/files.h"

namespace thimble {
namespace fs = std::filesystem;
namespace {

constexpr char kNoFailure[] = "1000000";

class WriteCalls : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = (fs::temp_directory_path() / ("thimble-calls-" + std::to_string(::getpid()))).string();
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // `work` in a process of its own, whose plan of failures is `plan`. What it returns, or 100 + the signal.
  // A process reads its plan at its first write: the test's own writes nothing through the calls.
  static int Run(const char* plan, const std::function<int()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("THIMBLE_FAIL_WRITE", plan, 1);
      std::_Exit(work());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  // The exit code that the error asks for, and whether it names `reason`.
  static int CodeOf(const std::function<void()>& work, const std::string& reason) {
    try {
      work();
    } catch (const Error& error) {
      return std::string(error.what()).find(reason) != std::string::npos ? error.code() : 99;
    }
    return 0;
  }
  int WriteAll(const std::string& reason) const {
    return CodeOf([&] { WriteFileAtomically(directory_ + "/a", "x"); }, reason);
  }
  int Entries() const {
    return static_cast<int>(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }
  std::string directory_;
};

TEST_F(WriteCalls, EachFailsOnceOrFromThenOn) {
  constexpr int kCalls = 4;  // create, write, sync, rename
  for (int call = 1; call <= kCalls; ++call) {
    const std::string plan = std::to_string(call);
    EXPECT_EQ(Run(plan.c_str(), [&] { return WriteAll("No space left"); }), kFailed) << call;
    EXPECT_EQ(Entries(), 0) << call;
    EXPECT_EQ(Run((plan + ":EROFS").c_str(), [&] { return WriteAll("Read-only"); }), kFailed) << call;
  }
  const auto twice = [&] { return 10 * WriteAll("Input/output") + WriteAll("Input/output"); };
  EXPECT_EQ(Run("2:EIO", twice), 10 * kFailed);
  EXPECT_EQ(Run("2+:EIO", twice), 10 * kFailed + kFailed);
  EXPECT_EQ(Run("5", [&] { return WriteAll(""); }), 0);
  EXPECT_EQ(Run("4:KILL", [&] { return WriteAll(""); }), 100 + SIGKILL);
  EXPECT_EQ(Entries(), 2) << "what the killed process wrote is there";
  EXPECT_EQ(Run(kNoFailure, [&] { return WriteAll(""); }), 0);
  EXPECT_EQ(Entries(), 1) << "and is cleared by the next who writes it";
}

TEST_F(WriteCalls, AWrongPlanIsRefused) {
  for (const char* plan : {"x", "0", "-1", "3:ENOTHING", "3x", ""})
    EXPECT_EQ(Run(plan, [&] { return WriteAll("THIMBLE_FAIL_WRITE"); }), kBadRequest) << plan;
}

TEST_F(WriteCalls, AFileBeyondTheLimitIsAFailedWrite) {
  const auto limited = [&] {
    const rlimit limit{.rlim_cur = 1000, .rlim_max = 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
    return CodeOf([&] { WriteFileAtomically(directory_ + "/a", std::string(2000, 'x')); }, "File too large");
  };
  EXPECT_EQ(Run("1000", limited), kFailed);
  EXPECT_EQ(Entries(), 0);
}

TEST_F(WriteCalls, RoomIsTakenBeforeItIsUsed) {
  const auto fill = [&] {
    PendingFile file(directory_ + "/a");
    file.Reserve(10000);
    const bool there = fs::file_size(file.working()) == 10000;
    file.Commit();
    return there ? 0 : 1;
  };
  EXPECT_EQ(Run(kNoFailure, fill), 0);
  EXPECT_EQ(fs::file_size(directory_ + "/a"), 10000u);
  const auto reserve = [&] {
    return CodeOf(
        [&] {
          PendingFile file(directory_ + "/b");
          file.Reserve(10000);
        },
        "no room");
  };
  EXPECT_EQ(Run("2", reserve), kFailed);
  EXPECT_EQ(Entries(), 1);
}

TEST_F(WriteCalls, DirectoriesThatNobodyFilledGo) {
  const auto make = [&] {
    return CodeOf([&] { const EnsuredDirectory made(directory_ + "/a/b/c"); }, "No space left");
  };
  for (const char* plan : {"1", "2", "3"}) EXPECT_EQ(Run(plan, make), kFailed) << plan;
  EXPECT_EQ(Run("4", make), 0);
  EXPECT_EQ(Entries(), 0);
  const auto fill = [&] {
    const EnsuredDirectory made(directory_ + "/a/b/c/");
    WriteFileAtomically(directory_ + "/a/b/file", "x");
    return 0;
  };
  EXPECT_EQ(Run(kNoFailure, fill), 0);
  EXPECT_TRUE(fs::exists(directory_ + "/a/b/file"));
  EXPECT_FALSE(fs::exists(directory_ + "/a/b/c"));
}

}  // namespace
}  // namespace thimble
