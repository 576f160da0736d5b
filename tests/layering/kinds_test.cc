// A kind of mixer, feed-forward block, embedding or operator is named in its own file, its list and its message, and
// nowhere else in the code: whoever adds one edits nothing. The exceptions are listed, each with its reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>

#include "base/files.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// Paths by how they begin.
const std::map<std::string, std::string> kExceptions = {
    {"bench/", "what is timed: BERT-base, a trigram student"},
    {"models/arch/", "expressions are read, drawn and compared there; the algebra knows the gates of activations"},
    {"models/feed_forwards/expression.cc", "an example in its text for PyTorch"},
    {"models/hub/hub_config.cc", "reads BERT, MobileBERT"},
    {"models/hub/hugging_face.cc", "names of BERT's activations"},
    {"models/words_head.cc", "reads BERT's hidden_act"},
    {"search/", "proposes expressions: their text is what varies"},
    {"tools/commands/init.cc", "the template of a study"},
    {"tools/commands/rank.cc", "prints expressions"},
    {"tools/commands/slice.cc", "makes a uniform student"},
    {"tools/report.cc", "prints expressions"},
    {"tools/student.cc", "makes a student from flags"},
};
// Names that are words for other things as well; they count where they are fields or messages.
const std::vector<std::string> kCommonWords = {"none", "plain", "max", "add", "tanh"};

std::string Text(const std::string& path) { return ReadFile(std::string(THIMBLE_SOURCE_DIR) + "/" + path); }

std::string WithoutComments(const std::string& text) {
  static const std::regex kComment("//[^\n]*");
  return std::regex_replace(text, kComment, "");
}

struct Kind {
  std::string folder, name;
  std::vector<std::string> patterns;
};

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds;
  const std::string schema = Text("proto/architecture.proto");
  const auto add = [&](Kind kind, const std::string& enumerator) {
    const bool common = std::find(kCommonWords.begin(), kCommonWords.end(), kind.name) != kCommonWords.end();
    if (!common) kind.patterns.push_back('"' + kind.name + '"');
    if (!enumerator.empty()) {
      kind.patterns.push_back("Operator::" + enumerator + "\\b");
    } else {
      kind.patterns.push_back("\\b(has|mutable|set)_" + kind.name + "\\(");
      kind.patterns.push_back("(\\.|->)" + kind.name + "\\(\\)");
      std::smatch message;
      if (std::regex_search(schema, message, std::regex("\n    (\\w+) " + kind.name + " = \\d+;")) && message[1] != "string")
        kind.patterns.push_back("proto::" + message[1].str() + "\\b");
    }
    kinds.push_back(std::move(kind));
  };
  static const std::regex kLine(R"((?:^|\n)[A-Z_]+\((?:(\w+), )?(\w+)\))");
  for (const std::string folder : {"mixers", "feed_forwards", "embeddings", "operators"}) {
    const std::string list = Text("models/" + folder + "/" + folder + ".inc");
    for (std::sregex_iterator at(list.begin(), list.end(), kLine), end; at != end; ++at)
      add({folder, (*at)[2]}, (*at)[1]);
  }
  return kinds;
}

std::vector<std::string> Sources() {
  std::vector<std::string> paths;
  for (const char* folder : {"base", "bench", "data", "distill", "models", "optim", "runtime", "search", "tools", "train"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(THIMBLE_SOURCE_DIR) / folder)) {
      const std::string extension = entry.path().extension();
      if (extension == ".cc" || extension == ".h" || extension == ".cu")
        paths.push_back(fs::relative(entry.path(), THIMBLE_SOURCE_DIR).generic_string());
    }
  return paths;
}

bool IsException(const std::string& path) {
  for (const auto& [start, reason] : kExceptions)
    if (path.starts_with(start)) return true;
  return false;
}

bool IsOwn(const std::string& path, const Kind& kind) {
  return path == "models/" + kind.folder + "/" + kind.name + ".cc" || path == "distill/start/cuts/" + kind.name + ".cc";
}

TEST(Kinds, AreNamedInTheirOwnFiles) {
  const std::vector<Kind> kinds = Kinds();
  EXPECT_GT(kinds.size(), 15u);
  std::string found;
  for (const std::string& path : Sources()) {
    if (IsException(path)) continue;
    const std::string text = WithoutComments(Text(path));
    for (const Kind& kind : kinds) {
      if (IsOwn(path, kind)) continue;
      for (const std::string& pattern : kind.patterns) {
        std::smatch match;
        if (std::regex_search(text, match, std::regex(pattern))) found += path + ": " + match[0].str() + "\n";
      }
    }
  }
  EXPECT_EQ(found, "");
}

TEST(Kinds, ExceptionsAreNeeded) {
  for (const auto& [start, reason] : kExceptions) {
    bool needed = false;
    for (const std::string& path : Sources())
      if (path.starts_with(start))
        for (const Kind& kind : Kinds())
          for (const std::string& pattern : kind.patterns)
            needed |= std::regex_search(WithoutComments(Text(path)), std::regex(pattern));
    EXPECT_TRUE(needed) << start << " names no kind any more";
  }
}

}  // namespace
}  // namespace thimble
