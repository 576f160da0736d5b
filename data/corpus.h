// Plain text, tokenized into files that are read through memory mappings: it may be larger than memory.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/text/wordpiece.h"

namespace thimble::data {

class TokenFile;

struct CorpusOptions {
  std::vector<std::string> files;
  int lines = 0;       // the first ones of all files, empty lines and headings not counted; 0: all
  bool pairs = false;  // data/sentence_pairs.h, else a line an example
  int max_length = 128;
  uint64_t seed = 1;  // of the pairs
  // Neither changes what the examples are.
  size_t shard_tokens = size_t{1} << 21;  // of one file
  size_t block_rows = size_t{1} << 15;    // examples held at a time; shuffling goes no further
};

// Immutable; may be used from several threads.
class Corpus {
 public:
  // Opens the folder in `directory` whose name is a hash of text, tokenizer and options, or makes it:
  // tokenized on `threads`, a piece at a time. A kill leaves none; a folder with a damaged file is made anew.
  // Error (exit 2) where there is no line of text.
  static std::shared_ptr<const Corpus> Open(const CorpusOptions& options, const WordPiece& tokenizer,
                                            const std::string& directory, int threads);
  ~Corpus();

  const std::string& hash() const { return hash_; }
  size_t rows() const { return rows_; }  // examples of an epoch
  // Pairs are drawn for five epochs, then they come again: published systems do so, as BERT's own
  // script (its dupe_factor).
  int drawn() const { return static_cast<int>(epochs_.size()); }
  size_t blocks() const { return (rows_ + block_rows_ - 1) / block_rows_; }
  size_t BlockRows(size_t block) const;
  Dataset Block(int epoch, size_t block) const;  // copies

  // Over all epochs: what a model must have room for.
  int32_t highest_id() const { return highest_id_; }
  int longest() const { return longest_; }

 private:
  Corpus() = default;
  bool Read(const std::string& folder, const std::string& key);

  std::string hash_;
  size_t rows_ = 0, block_rows_ = 0;
  int32_t highest_id_ = 0;
  int longest_ = 0;
  struct Epoch {
    std::vector<std::unique_ptr<const TokenFile>> shards;
    std::vector<size_t> starts = {0};  // rows before each shard
  };
  std::vector<Epoch> epochs_;
};

// The same as a dataset, whose examples are in the corpus.
Dataset StreamedText(const CorpusOptions& options, const WordPiece& tokenizer, const std::string& directory,
                     int threads);

}  // namespace thimble::data
