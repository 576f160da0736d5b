// What strategies are judged by: spaces whose best point is known, and how far from it the best that a
// strategy has found is after so many queries. Tables hold scores that were paid for in training; functions
// show what a strategy can make use of.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proto/study.pb.h"
#include "search/space.h"

namespace thimble::bench {

struct Yardstick {
  std::string name, unit;  // "NAS-Bench-BERT", "GLUE points"
  search::StageSpace space;
  proto::Stage stage;                                         // what it varies
  std::function<double(const proto::Architecture&)> score{};  // of a feasible one; the more the better
  double best = 0;                                            // the highest score there is
  double noise = 0;  // standard deviation of what is observed of a score; 0: it is what is observed
};

// The rows of architectures.jsonl (NAS-Bench-BERT: Serianni and Kalita, ACL 2023) by their mean GLUE score;
// of rows that are alike, the mean. Operations are written down as settings of our mixers, each as another
// one: labels to look rows up by, not those models.
Yardstick NasBenchBert(const std::string& path);
// The same rows as the models that they are.
struct BenchModel {
  int id = 0;
  proto::Architecture architecture;
  double score = 0;  // GLUE, the mean of eight tasks
};
// `released`: as the notebook that the published figures of proxies come from builds them: its configuration
// takes neither the hidden nor the inner width over, so that all are 256 and 1024 wide.
std::vector<BenchModel> NasBenchBertModels(const std::string& path, bool released);
// The students of `thimble rank` by the mean of their seeds' first metric on dev rows, in points: PATH of a
// ranks.jsonl.
Yardstick Ranks(const std::string& path);
// Functions on a small space of shapes, as `thimble init` writes, and on EfficientBERT's space of
// expressions, stacks and ratios: "separable"; "trap", where neighbouring layers lead away from the best
// point unless both are near it; "noisy", the separable one with half the standard deviation that it has over
// the space, as docs/ranking.md found it between seeds. Percent of the greatest distance, best 0.
std::vector<Yardstick> Functions();

// Regret of the best observed one after each of `queries` (ascending), in the yardstick's unit: what it truly
// lacks. `round` candidates are proposed together. A strategy that runs out keeps what it found.
std::vector<double> Regrets(const Yardstick& yardstick, const proto::Strategy& strategy, uint64_t seed,
                            const std::vector<int>& queries, int round);

struct Curve {
  std::vector<double> mean, error;  // over seeds, at each of the queries; standard errors of the means
};
// Over seeds 1 to `seeds`, on `threads` threads. `done` is called after each seed, from any thread.
Curve CurveOf(const Yardstick& yardstick, const proto::Strategy& strategy, int seeds,
              const std::vector<int>& queries, int round, int threads, const std::function<void()>& done);

}  // namespace thimble::bench
