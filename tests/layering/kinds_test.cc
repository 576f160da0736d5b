// A kind of mixer, feed-forward block, embedding, operator, loss, optimizer, strategy, evaluator, filter or
// proxy is named in its own file, its list and its message, and nowhere else in the code: whoever adds one
// edits nothing. The exceptions are listed, each with its reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>

#include "base/files.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

struct Catalogue {
  std::string folder, list, schema;
};
const std::vector<Catalogue> kCatalogues = {
    {"models/mixers/", "models/mixers/mixers.inc", "proto/architecture.proto"},
    {"models/feed_forwards/", "models/feed_forwards/feed_forwards.inc", "proto/architecture.proto"},
    {"models/embeddings/", "models/embeddings/embeddings.inc", "proto/architecture.proto"},
    {"models/attention_biases/", "models/attention_biases/attention_biases.inc", "proto/architecture.proto"},
    {"models/operators/", "models/operators/operators.inc", "proto/space.proto"},
    {"distill/losses/", "distill/losses.inc", "proto/objective.proto"},
    {"optim/optimizers/", "optim/optimizers.inc", "proto/optimizer.proto"},
    {"search/strategies/", "search/strategies.inc", "proto/study.proto"},
    {"search/evaluators/", "search/evaluators.inc", "proto/study.proto"},
    {"search/evaluators/", "search/filters.inc", "proto/study.proto"},
    {"search/evaluators/proxies/", "search/proxies.inc", "proto/study.proto"},
};

// Files and folders of kinds, both by how they begin.
struct Exception {
  std::string files, kinds, reason;
};
const std::vector<Exception> kExceptions = {
    {"bench/", "models/", "what is timed: BERT-base, a trigram student"},
    {"bench/optimizer.cc", "optim/", "the two rules that are timed where none is named"},
    {"bench/w_pca.cc", "search/evaluators/proxies/", "what is timed"},
    {"models/arch/", "models/",
     "expressions are read, drawn and compared there; the algebra knows the gates of activations"},
    {"models/attention_biases/", "models/mixers/", "a bias is a field of that mixer's message"},
    {"models/encoder/bert.cc", "models/", "names of BERT's activations"},
    {"models/encoder/kinds.h", "models/mixers/", "the entry of an attention's bias"},
    {"models/feed_forwards/expression.cc", "models/", "an example in its text for PyTorch"},
    {"models/hub/hub_config.cc", "models/", "reads BERT, MobileBERT"},
    {"models/hub/modeling.cc", "models/mixers/", "writes the texts of an attention's biases"},
    {"models/latency.cc", "models/", "heads are a size of which some are measured"},
    {"models/mlm_head.cc", "models/", "reads BERT's hidden_act"},
    {"optim/adam.", "optim/", "what adam and adamw share, on CPU and GPU"},
    {"optim/cuda/", "optim/", "the rules that have a form for a GPU"},
    {"search/", "models/", "proposes expressions: their text is what varies"},
    {"search/brackets.", "search/evaluators/", "the brackets of one, pure"},
    {"search/goals.", "search/strategies/", "goals are named as in the strategy that weighs them"},
    {"search/proxy.", "search/evaluators/", "what a stage's proxy needs, be it an evaluator or a filter"},
    {"search/evaluators/members.cc", "distill/", "times updates by the labels alone"},
    {"search/evaluators/allocated.", "search/strategies/",
     "judges what the strategy of allocation proposes, for `slice`"},
    {"search/strategies/boshnas.cc", "search/strategies/", "its field `random` is a share of its proposals"},
    {"tools/study/allotted.cc", "search/strategies/", "`slice` asks that strategy"},
    {"tools/commands/finetune.cc", "distill/", "the standard recipe where there is a teacher"},
    {"tools/commands/rank.cc", "models/", "prints expressions"},
    {"tools/commands/slice.cc", "models/", "makes a uniform student"},
    {"tools/study/new_study.cc", "models/", "the templates of studies"},
    {"tools/layer_text.cc", "models/", "prints layers"},
    {"tools/report/text.cc", "models/", "prints expressions"},
    {"tools/run/student.cc", "models/", "makes a student from flags"},
};
// Names that are words for other things as well; they count where they are fields or messages.
const std::vector<std::string> kCommonWords = {
    "none",      "plain", "max",        "add",           "tanh",   "random",     "supernet",
    "untrained", "proxy", "parameters", "multiply_adds", "metric", "divergence", "damages"};
// Names that are fields of other messages as well; they count where their message is named.
const std::vector<std::string> kSharedFields = {"parameters", "multiply_adds", "metric", "divergence",
                                                "damages"};
// Messages that are kinds and catalogues themselves: whoever implements an entry of theirs names them.
const std::vector<std::string> kNested = {"Proxy"};

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string Text(const std::string& path) { return ReadFile(std::string(THIMBLE_SOURCE_DIR) + "/" + path); }

std::string WithoutComments(const std::string& text) {
  static const std::regex kComment("//[^\n]*");
  return std::regex_replace(text, kComment, "");
}

struct Pattern {
  std::string word;  // without which there is no match; a regular expression is slow
  std::regex regex;
};

struct Kind {
  std::string folder, name;
  std::vector<Pattern> patterns = {};
};

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds;
  const auto add = [&](Kind kind, const std::string& enumerator, const std::string& schema) {
    const auto pattern = [&](const std::string& word, const std::string& regex) {
      kind.patterns.push_back({word, std::regex(regex)});
    };
    if (!Has(kCommonWords, kind.name)) pattern(kind.name, '"' + kind.name + '"');
    if (!enumerator.empty()) {
      pattern(enumerator, "Operator::" + enumerator + "\\b");
    } else {
      if (!Has(kSharedFields, kind.name)) {
        pattern(kind.name, "\\b(has|mutable|set)_" + kind.name + "\\(");
        pattern(kind.name, "(\\.|->)" + kind.name + "\\(\\)");
      }
      std::smatch message;
      if (std::regex_search(schema, message, std::regex("\n    (\\w+) " + kind.name + " = \\d+;")) &&
          message[1] != "string" && !Has(kNested, message[1]))
        pattern(message[1], "proto::" + message[1].str() + "\\b");
    }
    kinds.push_back(std::move(kind));
  };
  // MACRO(name), MACRO(enumerator, name), MACRO(name, .fact = true)
  static const std::regex kLine(R"((?:^|\n)[A-Z_]+\((?:(\w+), )?(\w+)(?:\)|, \.))");
  for (const Catalogue& catalogue : kCatalogues) {
    const std::string list = Text(catalogue.list), schema = Text(catalogue.schema);
    const size_t before = kinds.size();
    for (std::sregex_iterator at(list.begin(), list.end(), kLine), end; at != end; ++at)
      add({catalogue.folder, (*at)[2]}, (*at)[1], schema);
    EXPECT_GT(kinds.size(), before) << catalogue.list << " has no entry";
  }
  return kinds;
}

std::vector<std::string> Sources() {
  std::vector<std::string> paths;
  for (const char* folder :
       {"base", "bench", "data", "distill", "models", "optim", "runtime", "search", "tools", "train"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(THIMBLE_SOURCE_DIR) / folder)) {
      const std::string extension = entry.path().extension();
      if (extension == ".cc" || extension == ".h" || extension == ".cu")
        paths.push_back(fs::relative(entry.path(), THIMBLE_SOURCE_DIR).generic_string());
    }
  return paths;
}

bool Covers(const Exception& exception, const std::string& path, const Kind& kind) {
  return path.starts_with(exception.files) && kind.folder.starts_with(exception.kinds);
}

// Its own file, or how the sliced start begins it.
bool IsOwn(const std::string& path, const Kind& kind) {
  return path == kind.folder + kind.name + ".cc" || path == "distill/start/cuts/" + kind.name + ".cc";
}

// Where a text (without comments) names a kind; empty: nowhere.
std::string NamedIn(const std::string& text, const Kind& kind) {
  for (const Pattern& pattern : kind.patterns) {
    std::smatch match;
    if (text.find(pattern.word) != std::string::npos && std::regex_search(text, match, pattern.regex))
      return match[0].str();
  }
  return "";
}

TEST(Kinds, AreNamedInTheirOwnFiles) {
  const std::vector<Kind> kinds = Kinds();
  EXPECT_GT(kinds.size(), 30u);
  std::string found;
  std::vector<bool> needed(kExceptions.size());
  for (const std::string& path : Sources()) {
    const std::string text = WithoutComments(Text(path));
    for (const Kind& kind : kinds) {
      if (IsOwn(path, kind)) continue;
      const std::string named = NamedIn(text, kind);
      if (named.empty()) continue;
      bool allowed = false;
      for (size_t i = 0; i < kExceptions.size(); ++i)
        if (Covers(kExceptions[i], path, kind)) allowed = needed[i] = true;
      if (!allowed) found += path + ": " + named + "\n";
    }
  }
  EXPECT_EQ(found, "");
  for (size_t i = 0; i < kExceptions.size(); ++i)
    EXPECT_TRUE(needed[i]) << kExceptions[i].files << " names no kind of " << kExceptions[i].kinds
                           << " any more";
}

TEST(Kinds, AreFoundWhereverTheyAreNamed) {
  for (const Kind& kind : Kinds()) {
    EXPECT_EQ(NamedIn(" the " + kind.name + " of another", kind), "") << kind.name;
    if (kind.folder == "models/operators/" || Has(kSharedFields, kind.name))
      continue;  // named by enumerators, by messages
    EXPECT_NE(NamedIn("if (spec.has_" + kind.name + "()) return;", kind), "") << kind.name;
    EXPECT_NE(NamedIn("spec->" + kind.name + "().weight()", kind), "") << kind.name;
  }
}

}  // namespace
}  // namespace thimble
