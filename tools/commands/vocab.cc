// thimble vocab train --file 'text/*.txt' --out tokenizer/ [--size 30522] [--cased]
// thimble vocab encode --tokenizer tokenizer/ < TEXTS      one JSON string or pair a line in, one JSON object
// a line out
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "base/parallel.h"
#include "data/text/vocabulary.h"
#include "data/text/wordpiece.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/shell/standard_output.h"

namespace thimble::tools {
namespace of_vocab {
namespace {

struct Request : Options {
  std::vector<std::string> files;
  std::string out, tokenizer;
  data::VocabularyOptions vocabulary;
  bool cased = false, keep_accents = false, no_chinese = false;
};

void Train(const Request& request) {
  const OutputDirectory output(request.out, request.force);
  std::vector<std::string> files;
  for (const auto& pattern : request.files) {
    const auto found = Glob(pattern);
    files.insert(files.end(), found.begin(), found.end());
  }
  auto options = request.vocabulary;
  options.basic = {.lower_case = !request.cased,
                   .strip_accents = !request.cased && !request.keep_accents,
                   .space_chinese = !request.no_chinese};
  const auto tokens = data::TrainVocabulary(files, options, request.threads > 0 ? request.threads : Cores());
  std::string text;
  for (const auto& token : tokens) text += token + "\n";
  const nlohmann::json config = {{"do_lower_case", options.basic.lower_case},
                                 {"strip_accents", options.basic.strip_accents},
                                 {"tokenize_chinese_chars", options.basic.space_chinese},
                                 {"tokenizer_class", "BertTokenizer"}};
  PendingOutput directory(request.out);
  WriteFileAtomically(directory.working() + "/vocab.txt", text);
  WriteFileAtomically(directory.working() + "/tokenizer_config.json", config.dump(2) + "\n");
  directory.Commit();
  Info(std::to_string(tokens.size()) + " tokens in " + request.out + "/vocab.txt");
}

// Offsets are in Unicode characters, as Python counts them; of a pair's tokens each in its own text.
void Encode(const Request& request) {
  const data::WordPiece tokenizer(request.tokenizer);
  int number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto input = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool pair = input.is_array() && input.size() == 2 && input[0].is_string() && input[1].is_string();
    if (!pair && !input.is_string())
      throw BadRequest("standard input:" + std::to_string(number), "not a JSON string or a list of two");
    nlohmann::json ids = nlohmann::json::array(), offsets = nlohmann::json::array();
    for (const auto& text :
         pair ? input.get<std::vector<std::string>>() : std::vector{input.get<std::string>()}) {
      const auto pieces = tokenizer.PiecesWithOffsets(text);
      for (const auto id : pieces.ids) ids.push_back(id);
      for (const auto& offset : data::InCharacters(text, pieces.offsets))
        offsets.push_back({offset.begin, offset.end});
    }
    const nlohmann::json out = {{"ids", ids}, {"offsets", offsets}};
    std::printf("%s\n", out.dump().c_str());
    CheckOutput();
  }
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  auto action = std::make_shared<void (*)(const Request&)>();
  app.require_subcommand(1);
  auto* train = app.add_subcommand("train", "Trains a WordPiece vocabulary on plain text");
  train->add_option("--file", request->files, "text files; `*` in the last part of a path")->required();
  train->add_option("--out", request->out, "directory for vocab.txt and tokenizer_config.json")->required();
  train->add_option("--size", request->vocabulary.size, "tokens, the special ones included")
      ->check(CLI::Range(10, 1 << 24));
  train
      ->add_option("--min-frequency", request->vocabulary.min_frequency, "of a pair of pieces that is joined")
      ->check(CLI::PositiveNumber);
  train->add_option("--alphabet", request->vocabulary.alphabet, "characters kept, the commonest")
      ->check(CLI::PositiveNumber);
  train->add_flag("--cased", request->cased, "keep capitals and accents");
  train->add_flag("--keep-accents", request->keep_accents,
                  "keep accents and vowel signs, as Indic scripts need");
  train->add_flag("--no-chinese", request->no_chinese, "do not make a word of each CJK ideograph");
  train->add_option("--threads", request->threads, "threads; 0: all cores");
  AddForce(*train, request.get());
  train->callback([action] { *action = Train; });
  auto* encode = app.add_subcommand(
      "encode", "Token ids and offsets of texts from standard input, one JSON string a line");
  encode
      ->add_option("--tokenizer", request->tokenizer,
                   "vocabulary, tokenizer.json or a directory that holds one")
      ->required();
  encode->callback([action] { *action = Encode; });
  return [request, action] { (*action)(*request); };
}

}  // namespace
}  // namespace of_vocab

std::function<void()> vocab_command(CLI::App& app) { return of_vocab::Add(app); }

}  // namespace thimble::tools
