#include "search/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/random.h"

namespace thimble::search {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        fs::temp_directory_path() / ("thimble_store_" + std::to_string(getpid()) + "_" +
                                     ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    path_ = (directory_ / "trials.db").string();
    ParseText(R"(
      hidden: 8 heads: 2 layers: 2 embedding { plain {} }
      layer { mixer { self_attention {} } ffn { expression {} } }
      layer { at: 1 mixer { self_attention {} } ffn { expression {} stacks: [2, 3] ratio: ["1/2", "1"] } })",
              "space", &space_);
    ParseText(R"(name: "shape" vary: [STACKS, RATIO] evaluator { untrained {} } trials: 4)", "stage",
              &stage_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path directory_;
  std::string path_;
  proto::Space space_;
  proto::Stage stage_;
};

proto::Architecture MakeArchitecture(int stacks0, const std::string& ratio0, int stacks1,
                                     const std::string& ratio1) {
  proto::Architecture architecture;
  ParseText(R"text(
    hidden: 8 heads: 2 embedding { plain {} }
    layer { mixer { self_attention {} } ffn { expression: "linear(gelu(linear(x,wb1)),wb2)" } }
    layer { mixer { self_attention {} } ffn { expression: "linear(max(linear(x,wb1),x),wb2)" } })text",
            "architecture", &architecture);
  for (int i = 0; i < 2; ++i) {
    architecture.mutable_layer(i)->mutable_ffn()->set_stacks(i == 0 ? stacks0 : stacks1);
    architecture.mutable_layer(i)->mutable_ffn()->set_ratio(i == 0 ? ratio0 : ratio1);
  }
  return architecture;
}

// One of every kind: complete, thinned out, failed, and a value that SQLite cannot hold.
std::vector<StoredTrial> MakeRound() {
  std::vector<StoredTrial> trials(4);
  for (int i = 0; i < 4; ++i) {
    trials[i].number = i;
    trials[i].trial.architecture = MakeArchitecture(i + 1, "1/3", 3, "1/2");
    trials[i].trial.value = kNaN;
    trials[i].filter_score = 0.1 * i;
    trials[i].deployed_parameters = 5000000000 + i;
  }
  trials[0].trial.value = -1.0 / 3;
  trials[0].trial.standard_error = 0.1 + 0.2;
  trials[0].metrics = R"({"accuracy":0.75,"loss":{"total":1.25}})";
  trials[0].seconds = 61.5;
  trials[1].trial.state = TrialState::kPruned;
  trials[2].trial.state = TrialState::kFail;
  trials[2].reason =
      "the loss is not finite; step 3 of \"joint\"; gr\xc3\xbc\xc3\x9f; '); DROP TABLE trials; --";
  trials[2].filter_score = -kInfinity;
  trials[3].trial.value = -kInfinity;
  trials[3].filter_score = kNaN;
  trials[3].round = 1;
  return trials;
}

// One that stayed to the end of its round, two that left.
std::vector<StoredTrial> MakeHalvedRound() {
  std::vector<StoredTrial> trials(3);
  for (int i = 0; i < 3; ++i) {
    trials[i].number = i;
    trials[i].trial.architecture = MakeArchitecture(i + 1, "1/3", 3, "1/2");
    trials[i].trial.value = i == 2 ? -kInfinity : -0.5 * i;
    trials[i].trial.standard_error = 0.25;
    trials[i].filter_score = kNaN;
    // Of the last one its epochs are not known, as of what earlier versions stored.
    if (i < 2)
      trials[i].epochs = {{.loss = 1.5, .score = -0.75}, {.loss = 0.1 + 0.2, .score = trials[i].trial.value}};
    if (i == 0) {
      trials[i].epochs.push_back({.loss = kInfinity, .score = kNaN});
      continue;
    }
    trials[i].trial.state = TrialState::kLeft;
    trials[i].left_after = 3 - i;
  }
  return trials;
}

void ExpectSame(const std::vector<StoredTrial>& got, const std::vector<StoredTrial>& want) {
  ASSERT_EQ(got.size(), want.size());
  const auto same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("trial " + std::to_string(i));
    EXPECT_EQ(got[i].number, want[i].number);
    EXPECT_EQ(got[i].round, want[i].round);
    EXPECT_EQ(CanonicalText(got[i].trial.architecture), CanonicalText(want[i].trial.architecture));
    EXPECT_EQ(got[i].trial.state, want[i].trial.state);
    EXPECT_TRUE(same(got[i].trial.value, want[i].trial.value)) << got[i].trial.value;
    EXPECT_EQ(got[i].trial.standard_error, want[i].trial.standard_error);
    EXPECT_EQ(got[i].deployed_parameters, want[i].deployed_parameters);
    EXPECT_TRUE(same(got[i].filter_score, want[i].filter_score)) << got[i].filter_score;
    EXPECT_EQ(got[i].metrics, want[i].metrics);
    EXPECT_EQ(got[i].reason, want[i].reason);
    EXPECT_EQ(got[i].seconds, want[i].seconds);
    EXPECT_EQ(got[i].left_after, want[i].left_after);
    ASSERT_EQ(got[i].epochs.size(), want[i].epochs.size());
    for (size_t k = 0; k < got[i].epochs.size(); ++k) {
      EXPECT_EQ(got[i].epochs[k].loss, want[i].epochs[k].loss);
      EXPECT_TRUE(same(got[i].epochs[k].score, want[i].epochs[k].score)) << got[i].epochs[k].score;
    }
  }
}

// Runs `sql` on the file without our code; the first column of the rows, joined by newlines.
std::string Query(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  std::string text;
  char* error = nullptr;
  const auto collect = [](void* out, int, char** values, char**) {
    auto& lines = *static_cast<std::string*>(out);
    lines += (lines.empty() ? "" : "\n") + std::string(values[0] == nullptr ? "NULL" : values[0]);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), collect, &text, &error), SQLITE_OK)
      << (error == nullptr ? "" : error);
  sqlite3_free(error);
  sqlite3_close(db);
  return text;
}

// Code and text of the Error that `work` throws.
template <typename Work>
std::pair<int, std::string> Thrown(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {kDone, "nothing was thrown"};
}

// What optuna_test.py expects; it runs this test alone, with the file's path in the environment.
TEST_F(StoreTest, WritesTheFileForOptuna) {
  const char* given = std::getenv("THIMBLE_OPTUNA_FILE");
  const std::string path = given != nullptr ? given : path_;
  {
    Store store(path);
    const int stage = store.OpenStage("shape");
    store.SetFact(stage, "precision", "bfloat16");
    store.AppendRound(stage, MakeRound(), stage_, space_);
    store.OpenStage("later");
    store.AppendRound(store.OpenStage("halved"), MakeHalvedRound(), stage_, space_);
  }
  Store store(path);
  ExpectSame(store.Trials(*store.FindStage("halved")), MakeHalvedRound());
  ExpectSame(store.Trials(*store.FindStage("shape")), MakeRound());
  EXPECT_TRUE(store.Trials(*store.FindStage("later")).empty());
}

TEST_F(StoreTest, RowsAreAsOptunaWritesThem) {
  {
    Store store(path_);
    const int stage = store.OpenStage("shape");
    store.AppendRound(stage, MakeRound(), stage_, space_);
  }
  EXPECT_EQ(Query(path_, "SELECT version_num FROM alembic_version"), "v3.2.0.a");
  EXPECT_EQ(Query(path_, "SELECT schema_version FROM version_info"), "12");
  EXPECT_EQ(Query(path_, "SELECT direction || objective FROM study_directions"), "MAXIMIZE0");
  EXPECT_EQ(Query(path_, "SELECT state FROM trials ORDER BY number"), "COMPLETE\nPRUNED\nFAIL\nCOMPLETE");
  EXPECT_EQ(
      Query(path_, "SELECT trial_id || value_type || typeof(value) FROM trial_values ORDER BY trial_id"),
      "1FINITEreal\n4INF_NEGnull");
  EXPECT_EQ(
      Query(path_, "SELECT param_name || '=' || param_value FROM trial_params WHERE trial_id = 2 ORDER BY 1"),
      "layer0/ratio=2.0\nlayer0/stacks=1.0\nlayer1/ratio=0.0\nlayer1/stacks=1.0");
  EXPECT_EQ(
      Query(path_, "SELECT DISTINCT distribution_json FROM trial_params WHERE param_name = 'layer0/ratio'"),
      R"({"name":"CategoricalDistribution","attributes":{"choices":["1","1/2","1/3","1/4"]}})");
  EXPECT_EQ(
      Query(path_, "SELECT DISTINCT distribution_json FROM trial_params WHERE param_name = 'layer1/stacks'"),
      R"({"name":"CategoricalDistribution","attributes":{"choices":[2,3]}})");
  EXPECT_EQ(
      Query(path_, "SELECT DISTINCT value_json FROM trial_user_attributes WHERE key = 'layer1/expression'"),
      "\"linear(max(linear(x,wb1),x),wb2)\"");
  EXPECT_EQ(Query(path_,
                  "SELECT ROUND((JULIANDAY(datetime_complete) - JULIANDAY(datetime_start)) * 86400, 1) "
                  "FROM trials WHERE number = 0"),
            "61.5");
  EXPECT_EQ(Query(path_,
                  "SELECT COUNT(*) FROM trials WHERE datetime_complete LIKE "
                  "'____-__-__ __:__:__.______'"),
            "4");
  EXPECT_EQ(Query(path_, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(Query(path_, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(Query(path_, "PRAGMA foreign_key_check"), "");
}

// As Optuna keeps a trial that was pruned after it had reported.
TEST_F(StoreTest, WhoLeftItsRoundIsPrunedWithItsLastValue) {
  {
    Store store(path_);
    store.AppendRound(store.OpenStage("halved"), MakeHalvedRound(), stage_, space_);
  }
  EXPECT_EQ(Query(path_, "SELECT state FROM trials ORDER BY number"), "COMPLETE\nPRUNED\nPRUNED");
  EXPECT_EQ(
      Query(path_, "SELECT trial_id || value_type || ifnull(value, '') FROM trial_values ORDER BY trial_id"),
      "1FINITE0.0\n2FINITE-0.5\n3INF_NEG");
  EXPECT_EQ(
      Query(path_,
            "SELECT trial_id || ':' || step || intermediate_value_type || ifnull(intermediate_value, '') "
            "FROM trial_intermediate_values ORDER BY trial_id, step"),
      "1:1FINITE-0.75\n1:2FINITE0.0\n2:1FINITE-0.75\n2:2FINITE-0.5\n3:1INF_NEG");
  ExpectSame(Store(path_).Trials(1), MakeHalvedRound());
  Query(path_, "DELETE FROM trial_values WHERE trial_id = 2");
  EXPECT_THAT(Thrown([&] { Store(path_).Trials(1); }).second, HasSubstr("trial 1: a scored trial without"));
}

TEST_F(StoreTest, OnlyWhatTheStageVariesIsAParameter) {
  Store store(path_);
  stage_.clear_vary();
  stage_.add_vary(proto::Stage::RATIO);
  stage_.add_vary(proto::Stage::EXPRESSION);
  store.AppendRound(store.OpenStage("ratio"), MakeRound(), stage_, space_);
  EXPECT_EQ(Query(path_, "SELECT DISTINCT param_name FROM trial_params ORDER BY 1"),
            "layer0/ratio\nlayer1/ratio");
}

TEST_F(StoreTest, StagesAndFactsAreKept) {
  {
    Store store(path_);
    EXPECT_EQ(store.FindStage("a"), std::nullopt);
    const int a = store.OpenStage("a"), b = store.OpenStage("b");
    EXPECT_NE(a, b);
    EXPECT_EQ(store.OpenStage("a"), a);
    store.SetFact(a, "threads", "2");
    store.SetFact(a, "threads", "a \"quoted\" 4");
    store.SetFact(b, "threads", "1");
    EXPECT_EQ(store.Fact(a, "precision"), std::nullopt);
  }
  Store store(path_);
  EXPECT_EQ(store.Fact(*store.FindStage("a"), "threads"), "a \"quoted\" 4");
  EXPECT_EQ(store.Fact(*store.FindStage("b"), "threads"), "1");
  EXPECT_EQ(Query(path_, "SELECT value_json FROM study_user_attributes WHERE study_id = 2"), "\"1\"");
}

TEST_F(StoreTest, AStageHasTheSameNameWhereverTheFileLies) {
  int stage = 0;
  {
    Store store(path_);
    stage = store.OpenStage("joint");
    store.AppendRound(stage, MakeRound(), stage_, space_);
  }
  EXPECT_EQ(Query(path_, "SELECT study_name FROM studies"), "study/joint");
  const std::string moved = (directory_ / "elsewhere").string();
  fs::create_directories(moved);
  fs::rename(path_, moved + "/trials.db");
  Store store(moved + "/trials.db");
  ExpectSame(store.Trials(*store.FindStage("joint")), MakeRound());
}

// Until its directory was renamed, a study of earlier versions had its name; then it began anew under the
// other.
TEST_F(StoreTest, NamesOfEarlierVersionsAreGoneOnWith) {
  {
    Store store(path_);
    for (const char* name : {"joint", "shape"}) store.SetFact(store.OpenStage(name), "study", "as it was");
    store.AppendRound(1, MakeRound(), stage_, space_);
  }
  Query(path_, "UPDATE studies SET study_name = replace(study_name, 'study/', 'my study/')");
  {
    Store store(path_);
    EXPECT_EQ(store.OpenStage("joint"), 1);
    EXPECT_EQ(store.FindStage("operators"), std::nullopt);
    EXPECT_EQ(store.OpenStage("operators"), 3);
    ExpectSame(store.Trials(1), MakeRound());
  }
  EXPECT_EQ(Query(path_, "SELECT study_name FROM studies ORDER BY study_id"),
            "my study/joint\nmy study/shape\nmy study/operators");
  Query(path_, "INSERT INTO studies (study_name) VALUES ('renamed/joint'), ('by/optuna')");
  EXPECT_EQ(Store(path_).FindStage("joint"), 1) << "a study without facts is nobody's stage";
  Query(path_, "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (4, 'study', '\"x\"')");
  Store store(path_);
  EXPECT_EQ(store.FindStage("joint"), 4) << "of several names the one begun last";
  EXPECT_EQ(store.FindStage("shape"), std::nullopt) << "stages of two names are never mixed";
}

TEST_F(StoreTest, AFileThatIsMovedWhileInUseFailsTheWork) {
  Store store(path_);
  const int stage = store.OpenStage("a");
  fs::rename(path_, path_ + ".away");
  for (const auto& write :
       std::vector<std::function<void()>>{[&] { store.AppendRound(stage, MakeRound(), stage_, space_); },
                                          [&] { store.SetFact(stage, "a", "b"); }}) {
    const auto [code, text] = Thrown(write);
    EXPECT_EQ(code, kFailed);
    EXPECT_THAT(text, HasSubstr("moved or removed"));
  }
}

TEST_F(StoreTest, TrialsOfTwoStagesHaveTheirOwnNumbers) {
  Store store(path_);
  const int a = store.OpenStage("a"), b = store.OpenStage("b");
  const auto round = MakeRound();
  store.AppendRound(a, {round[0], round[1]}, stage_, space_);
  store.AppendRound(b, {round[0]}, stage_, space_);
  store.AppendRound(a, {round[2], round[3]}, stage_, space_);
  ExpectSame(store.Trials(a), round);
  ExpectSame(store.Trials(b), {round[0]});
}

TEST_F(StoreTest, ARoundThatDoesNotFollowIsRefusedWhole) {
  Store store(path_);
  const int stage = store.OpenStage("a");
  auto round = MakeRound();
  store.AppendRound(stage, {round[0]}, stage_, space_);
  const auto [code, text] = Thrown([&] { store.AppendRound(stage, {round[1], round[3]}, stage_, space_); });
  EXPECT_EQ(code, kFailed);
  EXPECT_THAT(text, HasSubstr("another process"));
  ExpectSame(store.Trials(stage), {round[0]});
  store.AppendRound(stage, {round[1]}, stage_, space_);
  ExpectSame(store.Trials(stage), {round[0], round[1]});
}

TEST_F(StoreTest, ReasonsThatAreNotUtf8AreStored) {
  Store store(path_);
  const int stage = store.OpenStage("a");
  StoredTrial trial = MakeRound()[2];
  trial.number = 0;
  trial.reason = "caf\xe9";
  store.AppendRound(stage, {trial}, stage_, space_);
  EXPECT_EQ(store.Trials(stage)[0].reason, "caf\xef\xbf\xbd");
}

TEST_F(StoreTest, ForeignFilesAreRefusedAndLeftAlone) {
  std::string text = "name,age\n";
  for (int i = 0; i < 500; ++i) text += "someone," + std::to_string(i) + "\n";
  std::ofstream(path_) << text;
  auto thrown = Thrown([&] { Store store(path_); });
  EXPECT_EQ(thrown.first, kBadRequest);
  EXPECT_THAT(thrown.second, HasSubstr(path_ + ": not an SQLite file"));
  EXPECT_EQ(ReadFile(path_), text);

  fs::remove(path_);
  Query(path_, "CREATE TABLE addresses (name TEXT)");
  const std::string before = ReadFile(path_);
  thrown = Thrown([&] { Store store(path_); });
  EXPECT_EQ(thrown.first, kBadRequest);
  EXPECT_THAT(thrown.second, HasSubstr("not a store of trials"));
  EXPECT_EQ(ReadFile(path_), before);

  fs::remove(path_);
  { Store store(path_); }
  Query(path_, "UPDATE alembic_version SET version_num = 'v9.0.0.a'");
  thrown = Thrown([&] { Store store(path_); });
  EXPECT_EQ(thrown.first, kBadRequest);
  EXPECT_THAT(thrown.second, HasSubstr("got \"v9.0.0.a\"; accepted: v3.2.0.a"));

  thrown = Thrown([&] { Store store((directory_ / "absent" / "trials.db").string()); });
  EXPECT_EQ(thrown.first, kBadRequest);
  thrown = Thrown([&] { Store store(directory_.string()); });
  EXPECT_EQ(thrown.first, kBadRequest);
}

TEST_F(StoreTest, TrialsOfOthersAreRefusedWithTheirNumber) {
  const auto refused = [&](const std::string& sql) {
    fs::remove(path_);
    {
      Store store(path_);
      store.AppendRound(store.OpenStage("a"), MakeRound(), stage_, space_);
    }
    Query(path_, sql);
    Store store(path_);
    const auto [code, text] = Thrown([&] { store.Trials(1); });
    EXPECT_EQ(code, kBadRequest) << sql;
    return text;
  };
  EXPECT_THAT(refused("UPDATE trials SET state = 'RUNNING' WHERE number = 2"),
              HasSubstr("trial 2: a trial that thimble did not write; got state \"RUNNING\""));
  EXPECT_THAT(refused("DELETE FROM trial_user_attributes WHERE trial_id = 2 AND key = 'architecture'"),
              HasSubstr("trial 1: user attribute \"architecture\" is missing"));
  EXPECT_THAT(refused("UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'round'"),
              HasSubstr("no JSON"));
  EXPECT_THAT(
      refused("UPDATE trial_user_attributes SET value_json = '\"hidden: 8\"' WHERE key = 'architecture'"),
      HasSubstr("must be given"));
  EXPECT_THAT(refused("UPDATE trial_user_attributes SET value_json = '[1]' WHERE key = 'metrics'"),
              HasSubstr("not a JSON object"));
  EXPECT_THAT(refused("DELETE FROM trial_values WHERE trial_id = 1"),
              HasSubstr("trial 0: a scored trial without"));
  EXPECT_THAT(refused("DELETE FROM trials WHERE number = 1"), HasSubstr("do not follow"));
  EXPECT_THAT(refused("DROP TABLE trial_values"), HasSubstr("its tables are not those of an Optuna store"));
}

TEST_F(StoreTest, DamagedFilesNeverDoWorseThanAnError) {
  {
    Store store(path_);
    store.AppendRound(store.OpenStage("a"), MakeRound(), stage_, space_);
  }
  const std::string whole = ReadFile(path_);
  Random random(7);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    if (i % 3 == 0) bytes.resize(random.Below(bytes.size()));
    for (int k = 0; k < 20 && !bytes.empty(); ++k)
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    fs::remove(path_ + "-wal");
    fs::remove(path_ + "-shm");
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    const auto [code, text] = Thrown([&] {
      Store store(path_);
      const auto stage = store.FindStage("a");
      if (stage) store.Trials(*stage);
    });
    refused += code != kDone;
  }
  EXPECT_GT(refused, 100);  // most damage is noticed; the rest hits unused bytes
}

// Appends rounds of four until the end of the world; exits with the code of the Error that stops it.
[[noreturn]] void AppendForever(const std::string& path, const proto::Stage& stage,
                                const proto::Space& space) {
  int code = 99;
  try {
    Store store(path);
    const int id = store.OpenStage("a");
    const auto stored = store.Trials(id);
    int number = static_cast<int>(stored.size());
    for (int round = number / 4;; ++round) {
      auto trials = MakeRound();
      for (auto& trial : trials) {
        trial.round = round;
        trial.number = number++;
      }
      store.AppendRound(id, trials, stage, space);
    }
  } catch (const Error& error) {
    code = error.code();
  }
  _exit(code);
}

// A child process that appends until it is killed, at the latest when the test ends, however it ends.
class Writer {
 public:
  Writer(const std::string& path, const proto::Stage& stage, const proto::Space& space) : pid_(fork()) {
    if (pid_ == 0) AppendForever(path, stage, space);
  }
  ~Writer() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
    pid_ = -1;
  }
  int status() const { return status_; }

 private:
  pid_t pid_;
  int status_ = 0;
};

void ExpectWholeRounds(const std::vector<StoredTrial>& trials) {
  EXPECT_EQ(trials.size() % 4, 0u);
  for (size_t i = 0; i < trials.size(); ++i) ASSERT_EQ(trials[i].round, static_cast<int>(i / 4));
}

TEST_F(StoreTest, AKillLeavesWholeRounds) {
  Random random(3);
  size_t last = 0;
  for (int kill_count = 0; kill_count < 40; ++kill_count) {
    Writer writer(path_, stage_, space_);
    usleep(static_cast<useconds_t>(random.Below(60000)));
    writer.Kill();
    ASSERT_TRUE(WIFSIGNALED(writer.status()))
        << "the child ended by itself with " << WEXITSTATUS(writer.status());
    Store store(path_);
    const auto stage = store.FindStage("a");
    if (!stage) continue;
    const auto trials = store.Trials(*stage);
    ExpectWholeRounds(trials);
    ASSERT_GE(trials.size(), last);  // what was committed stays
    last = trials.size();
  }
  EXPECT_GT(last, 40u);
  EXPECT_EQ(Query(path_, "PRAGMA integrity_check"), "ok");
}

TEST_F(StoreTest, AFullDiskFailsTheWorkAndKeepsWholeRounds) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{300000, 300000};
    setrlimit(RLIMIT_FSIZE, &limit);
    AppendForever(path_, stage_, space_);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kFailed);
  Store store(path_);
  const auto trials = store.Trials(store.OpenStage("a"));
  EXPECT_GE(trials.size(), 4u);
  ExpectWholeRounds(trials);
}

TEST_F(StoreTest, AReaderSeesWholeRoundsWhileAnotherProcessWrites) {
  { Store store(path_); }
  const Writer writer(path_, stage_, space_);
  size_t seen = 0;
  {
    Store store(path_);
    for (int i = 0; i < 200 && seen < 80; ++i) {
      usleep(5000);
      const auto stage = store.FindStage("a");
      if (!stage) continue;
      const auto trials = store.Trials(*stage);
      ExpectWholeRounds(trials);
      seen = trials.size();
    }
  }
  EXPECT_GT(seen, 0u);
}

}  // namespace
}  // namespace thimble::search
