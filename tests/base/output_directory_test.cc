#include "base/output_directory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/error.h"
#include "base/leftovers.h"

namespace thimble {
namespace fs = std::filesystem;
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class OutputDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = (fs::temp_directory_path() / ("thimble-out-" + std::to_string(::getpid()))).string();
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::vector<std::string> Entries() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  void Put(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(directory_ + "/" + name).parent_path());
    WriteFileAtomically(directory_ + "/" + name, text);
  }
  void Make(const std::string& name, const std::string& text) const {
    PendingOutput pending(directory_ + "/" + name);
    WriteFileAtomically(pending.working() + "/a", text);
    pending.Commit();
  }
  // The message of the refusal, which must be exit code 2.
  std::string Refusal(const std::string& path, bool force) const {
    try {
      const OutputDirectory output(path, force);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest) << error.what();
      return error.what();
    }
    return "";
  }
  // Of a process that is no more.
  static std::string DeadProcess() {
    const pid_t child = ::fork();
    if (child == 0) std::_Exit(0);
    ::waitpid(child, nullptr, 0);
    return std::to_string(child);
  }
  std::string directory_;
};

TEST_F(OutputDirectoryTest, WhatIsThereIsNotReplacedUnasked) {
  EXPECT_EQ(Refusal(directory_, false), "") << "an empty directory";
  Make("out", "x");
  EXPECT_THAT(Refusal(directory_ + "/out", false), HasSubstr("--force"));
  EXPECT_EQ(Refusal(directory_ + "/out", true), "");
  EXPECT_THAT(Refusal(directory_ + "/out/a", true), HasSubstr("not a directory"));
  EXPECT_THAT(Refusal(directory_ + "/out/a/b/c", true), HasSubstr("out/a")) << "below a file";
  EXPECT_THAT(Refusal("/proc", true), HasSubstr("mount point"));
  EXPECT_THAT(Refusal(fs::current_path(), true), HasSubstr("current directory"));
  EXPECT_THAT(Refusal("/proc/thimble", false), HasSubstr("/proc"));
  EXPECT_THAT(Refusal(directory_ + "/" + std::string(250, 'n'), false), HasSubstr("name too long"));
  fs::create_symlink(directory_ + "/nowhere", directory_ + "/link");
  EXPECT_THAT(Refusal(directory_ + "/link", true), HasSubstr("leads nowhere"));
}

TEST_F(OutputDirectoryTest, ForceSparesFilesOfOthers) {
  Put("mine/notes.txt", "x");
  EXPECT_THAT(Refusal(directory_ + "/mine", true), HasSubstr("notes.txt"));
  Make("out", "x");
  Put("out/below/notes.txt", "x");
  EXPECT_THAT(Refusal(directory_ + "/out", true), HasSubstr("below/notes.txt"));
  EXPECT_THAT(ForeignFiles(directory_ + "/out"), ElementsAre("below/notes.txt"));
  NoteWrittenFile(directory_ + "/out", "below/notes.txt");
  EXPECT_EQ(Refusal(directory_ + "/out", true), "");
  NoteWrittenFile(directory_ + "/mine", "notes.txt");
  EXPECT_THAT(ForeignFiles(directory_ + "/mine"), ElementsAre("notes.txt")) << "not made by us";
}

TEST_F(OutputDirectoryTest, ForceReplacesWhatEarlierVersionsWrote) {
  const auto put = [&](const std::string& folder, const std::vector<std::string>& names) {
    for (const auto& name : names) Put(folder + "/" + name, "x");
  };
  const std::vector<std::string> model = {"config.json", "model.safetensors", "architecture.textproto",
                                          "README.md", "vocab.txt"};
  put("model", model);
  put("mix/cola", model);
  put("mix/rte", model);
  put("begun", {"study.textproto"});
  put("vocabulary", {"vocab.txt", "tokenizer_config.json"});
  for (const char* name : {"/model", "/mix", "/begun", "/vocabulary"}) {
    EXPECT_EQ(Refusal(directory_ + name, true), "") << name;
    Put(name + std::string("/notes.txt"), "x");
    EXPECT_THAT(Refusal(directory_ + name, true), HasSubstr("notes.txt")) << name;
  }
  Put("begun/study.db", "x");
  EXPECT_THAT(ForeignFiles(directory_ + "/begun"), ElementsAre("notes.txt", "study.db")) << "has trials";
  put("below/a/b", model);
  EXPECT_EQ(ForeignFiles(directory_ + "/below").size(), model.size()) << "no mix lies so deep";
  put("elsewhere", {"config.json", "model.safetensors", "vocab.txt"});
  EXPECT_THAT(Refusal(directory_ + "/elsewhere", true), HasSubstr("config.json")) << "a model of others";
}

TEST_F(OutputDirectoryTest, FilesThatCameMeanwhileAreNotLost) {
  Make("out", "old");
  PendingOutput pending(directory_ + "/out");
  Put("out/notes.txt", "x");
  EXPECT_THROW(pending.Commit(), Error);
  EXPECT_EQ(ReadFile(directory_ + "/out/notes.txt"), "x");
}

TEST_F(OutputDirectoryTest, ATrialLeavesNothing) {
  for (const bool filled : {false, true}) {
    const OutputDirectory output(directory_ + "/one/two/out/", false);
    EXPECT_TRUE(fs::is_directory(directory_ + "/one/two"));
    if (filled) Put("one/two/out.checkpoint", "x");  // what training keeps beside it
  }
  EXPECT_THAT(Entries(), ElementsAre("one"));
  EXPECT_FALSE(fs::exists(directory_ + "/one/two/out"));
  fs::remove_all(directory_ + "/one");
  { const OutputDirectory output(directory_ + "/one/two/out/", false); }
  EXPECT_THAT(Entries(), ElementsAre());
}

TEST_F(OutputDirectoryTest, AppearsOnCommitOnly) {
  const std::string out = directory_ + "/out/";
  {
    PendingOutput pending(out);
    WriteFileAtomically(pending.working() + "/a", "x");
  }
  EXPECT_THAT(Entries(), ElementsAre());
  for (const char* text : {"first", "second"}) {
    Make("out", text);
    EXPECT_EQ(ReadFile(out + "a"), text);
    EXPECT_THAT(Entries(), ElementsAre("out"));
  }
  EXPECT_EQ(ReadFile(out + kWrittenFiles), "a\n");
}

TEST_F(OutputDirectoryTest, ALinkIsFollowed) {
  Make("place", "first");
  fs::create_symlink("place", directory_ + "/link");
  Make("link", "second");
  EXPECT_TRUE(fs::is_symlink(directory_ + "/link"));
  EXPECT_EQ(ReadFile(directory_ + "/place/a"), "second");
}

TEST_F(OutputDirectoryTest, LeftoversOfTheDeadAreCleared) {
  Make("out", "first");
  const std::string dead = DeadProcess();
  Put("out.partial-" + dead + "/a", "half");
  Put("out.old-" + dead + "/a", "old");
  Put("out.partial-notes/a", "of somebody");
  Put("file.partial-" + dead, "half");
  Make("out", "new");
  WriteFileAtomically(directory_ + "/file", "new");
  EXPECT_THAT(Entries(), ElementsAre("file", "out", "out.partial-notes"));
}

TEST_F(OutputDirectoryTest, WhatAKilledProcessMovedAwayIsPutBack) {
  Make("out", "old");
  fs::rename(directory_ + "/out", directory_ + "/out.old-" + DeadProcess());
  EXPECT_THAT(Refusal(directory_ + "/out", false), HasSubstr("--force"));
  EXPECT_EQ(ReadFile(directory_ + "/out/a"), "old");
}

TEST_F(OutputDirectoryTest, WhatIsInUseIsNoLeftover) {
  Put("out.partial-" + std::to_string(::getppid()) + "/a", "of a living process");
  const std::string held =
      "out.partial-" + DeadProcess();  // as of another container, whose numbers are its own
  Put(held + "/a", "of a process elsewhere");
  const int file = ::open((directory_ + "/" + held).c_str(), O_RDONLY | O_DIRECTORY);
  HoldPartial(file);
  ClearLeftovers(directory_ + "/out");
  EXPECT_EQ(Entries().size(), 2u);
  ::close(file);
  ClearLeftovers(directory_ + "/out");
  EXPECT_EQ(Entries().size(), 1u);
}

TEST_F(OutputDirectoryTest, AKillLeavesTheOldDirectoryOrTheNew) {
  Make("out", "0");
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0)
      for (int i = 0;; ++i) Make("out", std::to_string(i));
    ::usleep(2000 + 700 * round);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_TRUE(fs::exists(directory_ + "/out/a"));
    EXPECT_THAT(ForeignFiles(directory_ + "/out"), ElementsAre());
  }
  Make("out", "last");
  EXPECT_THAT(Entries(), ElementsAre("out"));
}

}  // namespace
}  // namespace thimble
