// What `thimble bench` times, or judges. One file an entry in this folder, one line in bench/benches.inc; its
// peer, if there is one, is a file in bench/peers, and script/compare-peers runs the two in turn.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace thimble::bench {

// One timed piece of work. amount / seconds is the rate, in `unit`: more is better.
struct Timing {
  std::string label;  // the same in every round: "ids, 1 thread"
  double seconds = 0;
  double amount = 0;
  std::string unit;  // "MB/s"
};

using Round = std::function<std::vector<Timing>()>;  // does all the work once

// One of the two that add options is there.
struct BenchEntry {
  std::string name, summary;
  // Adds its options; the function it returns is called once they are parsed, and prepares what every round
  // uses.
  std::function<Round()> (*add)(CLI::App& app) = nullptr;
  // Likewise, where nothing is timed; the function it returns does all the work, prints tables and returns
  // the same figures as JSON.
  std::function<std::string()> (*add_judge)(CLI::App& app) = nullptr;
};
#define BENCH(name) BenchEntry name##_bench();
#include "bench/benches.inc"
#undef BENCH

// What most entries return: a Bench made of the parsed options, whose Round() is the round.
template <typename Bench, typename Request>
std::function<Round()> Prepare(std::shared_ptr<Request> request) {
  return [request]() -> Round {
    auto bench = std::make_shared<Bench>(*request);
    return [bench] { return bench->Round(); };
  };
}

// Seconds that `work` takes.
double Time(const std::function<void()>& work);

// A directory of this run alone under the system's temporary one; removed with all that is in it. Error (exit
// 1) if it cannot be made.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace thimble::bench
