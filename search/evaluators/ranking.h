// Which cheap score ranks students as their training does? Gives a set of architectures every cheap score,
// then distils each with several seeds; script/rank-study compares.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/task.h"
#include "models/hub/pretrained.h"
#include "proto/deployment.pb.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"

namespace thimble::search {

struct Ranking {
  const models::Pretrained& teacher;
  const data::TaskEntry& task;
  const data::Dataset &train, &score, &dev;  // to learn from, for cheap scores, for what they must predict
  proto::Recipe recipe;                      // precision resolved; its layer map is empty: nearest layers
  proto::Sliced sliced;
  proto::Deployment deployment;
  std::vector<proto::Architecture> architectures;  // neighbours of one depth are distilled side by side
  int seeds = 2;                                   // of data order and dropout: 1 to `seeds`
  std::string directory;                           // of DIRECTORY/ranks.jsonl
};

// Writes ranks.jsonl, one JSON object a line, and goes on where the file ends:
//   {"kind": "study", ...}    what the results depend on; another study's file is an Error (exit 2)
//   {"kind": "cheap", ...}    of an architecture: text, cost, untrained losses and metrics on `score`,
//   r2_last and
//                             r2_mean (explained variance on the sliced start's held-out rows), `proxies`:
//                             those of networks in search/proxies.inc (random weights), NAME_sliced
//   {"kind": "trained", ...}  of an architecture and a seed: `epochs` (on `score`, after each), `dev` after
//   the last
// Losses and metrics have their standard errors beside them ("NAME_se"). The teacher's outputs are kept in
// the directory meanwhile. Throws Interrupted when InterruptRequested().
void Rank(const Ranking& ranking);

}  // namespace thimble::search
