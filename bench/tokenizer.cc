// Text to token ids, line by line, as training reads a corpus.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "bench/bench.h"
#include "data/text/wordpiece.h"

namespace thimble::bench {
namespace of_tokenizer {
namespace {

struct Request {
  std::string vocabulary;
  std::vector<std::string> files, threads = {"1"};
};

class Bench {
 public:
  explicit Bench(const Request& request) : tokenizer_(request.vocabulary) {
    for (const auto& pattern : request.files) {
      for (const auto& path : Glob(pattern)) text_ += ReadFile(path) + "\n";
    }
    for (std::string_view rest = text_; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      if (rest.substr(0, end).find_first_not_of(" \t\r") != std::string_view::npos) {
        lines_.push_back(rest.substr(0, end));
        bytes_ += static_cast<double>(end + 1);
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (lines_.empty()) throw BadRequest("--file", "no line of text");
    for (const auto& threads : request.threads) threads_.push_back(std::stoi(threads));
  }

  std::vector<Timing> Round() const {
    std::vector<Timing> timings;
    for (const int threads : threads_) {
      const std::string suffix = threads == 1 ? ", 1 thread" : ", " + std::to_string(threads) + " threads";
      for (const bool offsets : {false, true}) {
        timings.push_back({(offsets ? "offsets" : "ids") + suffix, Time([&] { Encode(threads, offsets); }),
                           bytes_ / 1e6, "MB/s"});
      }
    }
    return timings;
  }

 private:
  void Encode(int threads, bool offsets) const {
    constexpr size_t kBlock = 256;
    std::atomic<size_t> tokens = 0;
    ParallelFor((lines_.size() + kBlock - 1) / kBlock, threads, [&](size_t block) {
      const size_t end = std::min(lines_.size(), (block + 1) * kBlock);
      size_t sum = 0;
      for (size_t i = block * kBlock; i < end; ++i) {
        sum += tokenizer_.EncodeAll(lines_[i], {}, false, {.max_length = 1 << 20, .offsets = offsets})[0]
                   .ids.size();
      }
      tokens += sum;
    });
    THIMBLE_CHECK(tokens > 0, "no tokens");
  }

  data::WordPiece tokenizer_;
  std::string text_;
  std::vector<std::string_view> lines_;
  std::vector<int> threads_;
  double bytes_ = 0;
};

std::function<Round()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("--vocab", request->vocabulary, "vocab.txt, or a directory that holds it")->required();
  app.add_option("--file", request->files, "text files; `*` in the last part of a path")->required();
  app.add_option("--threads", request->threads, "numbers of threads to time: 1 2")
      ->check(CLI::Range(1, 1024));
  return Prepare<Bench>(request);
}

}  // namespace
}  // namespace of_tokenizer

BenchEntry tokenizer_bench() {
  return {"tokenizer", "Megabytes of text a second through the tokenizer", of_tokenizer::Add};
}

}  // namespace thimble::bench
