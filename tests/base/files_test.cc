#include "base/files.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/error.h"
#include "base/hash.h"

namespace thimble {
namespace fs = std::filesystem;
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = (fs::temp_directory_path() / ("thimble-files-" + std::to_string(::getpid()))).string();
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  int Entries() const {
    return static_cast<int>(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }
  std::string directory_;
};

TEST_F(Files, AtomicWriteReplacesAndLeavesNoTemporary) {
  const std::string path = directory_ + "/a";
  WriteFileAtomically(path, "one");
  WriteFileAtomically(path, "two");
  EXPECT_EQ(ReadFile(path), "two");
  EXPECT_EQ(Entries(), 1);
}

TEST_F(Files, FailedWriteKeepsTheOldFile) {
  const std::string path = directory_ + "/a";
  WriteFileAtomically(path, "one");
  EXPECT_THROW(WriteFileAtomically(path,
                                   [](const Append& append) {
                                     append("half");
                                     throw std::runtime_error("stop");
                                   }),
               std::runtime_error);
  EXPECT_EQ(ReadFile(path), "one");
  EXPECT_EQ(Entries(), 1);
}

TEST_F(Files, KillWhileWritingLeavesTheOldFileOrTheNew) {
  const std::string path = directory_ + "/a", old_text(100000, 'o'), new_text(100000, 'n');
  WriteFileAtomically(path, old_text);
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0;; ++i) WriteFileAtomically(path, i % 2 ? old_text : new_text);
    }
    ::usleep(1000 + 700 * round);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string text = ReadFile(path);
    EXPECT_TRUE(text == old_text || text == new_text);
  }
}

TEST_F(Files, UnwritablePlaceIsAWorkFailure) {
  try {
    WriteFileAtomically("/proc/thimble", "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kFailed);
    EXPECT_THAT(error.what(), testing::HasSubstr("/proc/thimble"));
  }
}

TEST_F(Files, MissingFileIsABadRequest) {
  try {
    ReadFile(directory_ + "/none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    EXPECT_THAT(error.what(), testing::HasSubstr("none"));
  }
  EXPECT_THROW(ReadFile(directory_), Error);
}

TEST_F(Files, EmptyFileReadsAsEmpty) {
  WriteFileAtomically(directory_ + "/empty", "");
  EXPECT_EQ(ReadFile(directory_ + "/empty"), "");
}

TEST_F(Files, GlobSortsAndRefusesNothing) {
  for (const char* name : {"b.txt", "a.txt", "c.md"}) WriteFileAtomically(directory_ + "/" + name, name);
  EXPECT_THAT(Glob(directory_ + "/*.txt"),
              testing::ElementsAre(directory_ + "/a.txt", directory_ + "/b.txt"));
  EXPECT_THAT(Glob(directory_ + "/../*/a.txt"), testing::Contains(testing::EndsWith("/a.txt")));
  EXPECT_THROW(Glob(directory_ + "/*.none"), Error);
  EXPECT_EQ(DirectoryBytes(directory_), 14u);
}

TEST_F(Files, HashDependsOnEveryByte) {
  EXPECT_EQ(HashHex("abc").size(), 32u);
  EXPECT_NE(HashHex("abc"), HashHex("abd"));
  WriteFileAtomically(directory_ + "/a", "abc");
  EXPECT_EQ(HashFile(directory_ + "/a"), HashHex("abc"));
}

}  // namespace
}  // namespace thimble
