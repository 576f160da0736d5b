#include "search/evaluators/ranking.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parallel.h"
#include "distill/objective.h"
#include "distill/start/sliced.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "search/evaluators/proxy.h"
#include "train/batch.h"
#include "train/cohort.h"
#include "train/evaluate.h"
#include "train/teacher_cache.h"
#include "train/threads.h"

namespace thimble::search {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int kBatch = 32;
constexpr int kProxyRows = 40;
constexpr int kSideBySide = 2;  // architectures distilled together, with half of the threads each

// The file of results: whole lines only, whatever happens.
class Lines {
 public:
  Lines(const std::string& path, const Json& study) : path_(path) {
    if (!fs::exists(path)) {
      Add(std::vector<Json>(1, study));
      return;
    }
    text_ = ReadFile(path);
    size_t begin = 0;
    for (int number = 1; begin < text_.size(); ++number) {
      const size_t end = std::min(text_.find('\n', begin), text_.size());
      const Json line = Json::parse(text_.substr(begin, end - begin), nullptr, false);
      if (line.is_discarded() || !line.contains("kind"))
        throw BadRequest(path + ":" + std::to_string(number), "not a line of a ranking");
      if (number == 1 && line != study)
        throw BadRequest(path, "belongs to another teacher, other data or settings; use a new directory",
                         study.dump(), line.dump());
      if (number > 1) keys_.insert(Key(line));
      begin = end + 1;
    }
  }
  bool Has(const std::string& hash, int seed) const { return keys_.count({hash, seed}) > 0; }
  // All or none are there after a kill.
  void Add(const std::vector<Json>& lines) {
    for (const Json& line : lines) text_ += line.dump() + "\n";
    WriteFileAtomically(path_, text_);
    for (const Json& line : lines) keys_.insert(Key(line));
  }

 private:
  static std::pair<std::string, int> Key(const Json& line) {
    return {line.value("hash", std::string()), line.value("seed", 0)};
  }
  std::string path_, text_;
  std::set<std::pair<std::string, int>> keys_;  // hash, and seed or 0 for cheap scores
};

Json ToJson(const train::Evaluation& evaluation) {
  Json json;
  for (const auto& metric : evaluation.metrics) {
    json[metric.name] = metric.value;
    json[metric.name + "_se"] = metric.standard_error;
  }
  json["loss"] = evaluation.loss;
  json["loss_se"] = evaluation.loss_standard_error;
  for (size_t i = 0; i < evaluation.losses.size(); ++i) {
    json["loss/" + evaluation.loss_names[i]] = evaluation.losses[i];
    json["loss/" + evaluation.loss_names[i] + "_se"] = evaluation.loss_standard_errors[i];
  }
  return json;
}

// What the catalogue says of costs, and of the network: with random weights, and "NAME_sliced" of the
// student.
void AddProxies(const models::Model& student, const models::Batch& rows, Json* json) {
  const auto random = models::MakeModel(student.architecture, student.classes, student.teacher_hidden,
                                        Random(1), student.head);
  for (const ProxyEntry& entry : Proxies()) {
    proto::Proxy proxy;
    ParseText(entry.name + " {}", entry.name, &proxy);
    const ProxyFunction function = FunctionOf(proxy);
    if (function.of_shape != nullptr)
      (*json)[entry.name] =
          static_cast<int64_t>(function.of_shape(student.shape, student.classes, student.head));
    if (function.of_network == nullptr) continue;
    Json& values = (*json)["proxies"];
    values[entry.name] = NetworkValue(proxy, random, rows);
    values[entry.name + "_sliced"] = NetworkValue(proxy, student, rows);
  }
}

// One architecture, its place in the file, and its student before training.
struct Candidate {
  const proto::Architecture* architecture;
  std::string hash;
  models::Model student;
  Json cheap;
};

class Ranker {
 public:
  explicit Ranker(const Ranking& ranking);
  void Run();

 private:
  Json Study() const;
  Json CheapScores(Candidate* candidate) const;
  void RunTogether(size_t begin, size_t end);
  void Distil(std::vector<Candidate>* candidates, int seed);
  bool Done(size_t begin, size_t end) const;

  const Ranking& ranking_;
  const models::Model& teacher_;
  proto::Recipe recipe_;
  Lines lines_;
  train::Workers workers_;
  std::unique_ptr<train::TeacherCache> train_cache_, score_cache_, dev_cache_;
  std::unique_ptr<distill::SlicedStart> start_;
};

Ranker::Ranker(const Ranking& ranking)
    : ranking_(ranking),
      teacher_(ranking.teacher.model),
      recipe_(ranking.recipe),
      lines_(ranking.directory + "/ranks.jsonl", Study()),
      workers_(kSideBySide, std::max(1, train::Threads(ranking.deployment) / kSideBySide)) {
  auto* objective = recipe_.mutable_objective();
  if (objective->layer_map().empty()) objective->set_layers(proto::Objective::NEAREST);
  // One file serves all depths if it holds every layer.
  const auto cache = [&](const data::Dataset& data) {
    return train::TeacherCache::Open(ranking.recipe, teacher_, teacher_.shape, data, 2, ranking.directory);
  };
  if (Done(0, ranking.architectures.size())) return;
  train_cache_ = cache(ranking.train);
  score_cache_ = cache(ranking.score);
  dev_cache_ = cache(ranking.dev);
  const size_t rows = std::min<size_t>(ranking.sliced.rows(), ranking.train.examples.size());
  const size_t held = std::min<size_t>(ranking.sliced.validate_rows(), ranking.score.examples.size());
  start_ = std::make_unique<distill::SlicedStart>(
      teacher_, train::MakeBatches(ranking.train.Slice(0, rows), 32),
      train::MakeBatches(ranking.score.Slice(0, held), 32), ranking.sliced);
}

Json Ranker::Study() const {
  return {{"kind", "study"},
          {"task", ranking_.task.name},
          {"teacher", teacher_.weights.Hash()},
          {"rows",
           {{"train", ranking_.train.examples.size()},
            {"score", ranking_.score.examples.size()},
            {"dev", ranking_.dev.examples.size()}}},
          {"data", HashHex(ranking_.train.hash + ranking_.score.hash + ranking_.dev.hash)},
          {"recipe", CanonicalText(ranking_.recipe)},
          {"sliced", CanonicalText(ranking_.sliced)}};
}

Json Ranker::CheapScores(Candidate* candidate) const {
  const auto begin = Clock::now();
  const auto& architecture = *candidate->architecture;
  distill::SlicedReport report;
  candidate->student = start_->MakeCandidate(start_->MakeSupernet(architecture, 1), architecture, &report);
  const auto& student = candidate->student;
  const distill::Objective objective(recipe_.objective(), student.shape, &teacher_, true);
  Json json = {{"kind", "cheap"},
               {"hash", candidate->hash},
               {"architecture", CanonicalText(architecture)},
               {"layers", architecture.layer_size()},
               {"hidden", architecture.hidden()}};
  json["untrained"] = ToJson(train::Evaluate(student, ranking_.score, &ranking_.task,
                                             {.teacher = &teacher_,
                                              .teacher_cache = score_cache_.get(),
                                              .objective = &objective,
                                              .batch_size = kBatch,
                                              .padded_length = train::PaddedLength(ranking_.recipe)}));
  double sum = 0;
  for (const auto& block : report.blocks) sum += block.after;
  json["r2_last"] = report.blocks.back().after;
  json["r2_mean"] = sum / static_cast<double>(report.blocks.size());
  json["seconds"] = std::chrono::duration<double>(Clock::now() - begin).count();
  const size_t rows = std::min<size_t>(kProxyRows, ranking_.score.examples.size());
  AddProxies(student, train::MakeBatches(ranking_.score.Slice(0, rows), kProxyRows).front(), &json);
  return json;
}

bool Ranker::Done(size_t begin, size_t end) const {
  for (size_t i = begin; i < end; ++i) {
    const auto hash = models::ArchitectureHash(ranking_.architectures[i]);
    for (int seed = 0; seed <= ranking_.seeds; ++seed)
      if (!lines_.Has(hash, seed)) return false;
  }
  return true;
}

void Ranker::RunTogether(size_t begin, size_t end) {
  std::vector<Candidate> candidates;
  for (size_t i = begin; i < end; ++i) {
    const auto& architecture = ranking_.architectures[i];
    candidates.push_back({.architecture = &architecture, .hash = models::ArchitectureHash(architecture)});
  }
  workers_.Run(candidates.size(), [&](size_t i) { candidates[i].cheap = CheapScores(&candidates[i]); });
  std::vector<Json> cheap;
  for (const auto& candidate : candidates)
    if (!lines_.Has(candidate.hash, 0)) cheap.push_back(candidate.cheap);
  lines_.Add(cheap);
  for (int seed = 1; seed <= ranking_.seeds; ++seed) Distil(&candidates, seed);
}

void Ranker::Distil(std::vector<Candidate>* candidates, int seed) {
  std::vector<models::Model> students;
  train::Job job;
  std::string names;
  for (const auto& candidate : *candidates) {
    // Both or neither: they are written together.
    if (lines_.Has(candidate.hash, seed)) return;
    students.push_back(models::CropCandidate(candidate.student, *candidate.architecture));
    names += candidate.hash;
  }
  job.what = "distilling";
  job.recipe = recipe_;
  job.recipe.set_seed(static_cast<uint64_t>(seed));
  job.deployment = ranking_.deployment;
  job.sources[0].train = &ranking_.train;
  job.sources[0].validate = &ranking_.score;
  job.sources[0].task = &ranking_.task;
  job.sources[0].teacher = &teacher_;
  job.sources[0].teacher_cache = train_cache_.get();
  job.sources[0].validate_cache = score_cache_.get();
  job.members_threads = kSideBySide;
  job.checkpoint =
      ranking_.directory + "/" + HashHex(names + std::to_string(seed)).substr(0, 16) + ".checkpoint";
  for (size_t i = 0; i < students.size(); ++i)
    job.members.push_back(
        {.name = (*candidates)[i].hash,
         .models = {&students[i]},
         .seed = static_cast<uint64_t>(seed),
         .events = ranking_.directory + "/events/" + (*candidates)[i].hash + "-" + std::to_string(seed)});
  const auto begin = Clock::now();
  const auto results = train::Train(job);
  std::vector<distill::Objective> objectives;
  for (const auto& student : students)
    objectives.emplace_back(recipe_.objective(), student.shape, &teacher_, true);
  std::vector<train::Subject> subjects;
  for (size_t i = 0; i < students.size(); ++i)
    subjects.push_back({.model = &students[i], .objective = &objectives[i]});
  const auto dev = train::EvaluateTogether(subjects, ranking_.dev, &ranking_.task,
                                           {.teacher = &teacher_,
                                            .teacher_cache = dev_cache_.get(),
                                            .bfloat16 = recipe_.precision() == proto::BFLOAT16,
                                            .batch_size = kBatch,
                                            .padded_length = train::PaddedLength(recipe_)},
                                           &workers_);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::vector<Json> lines;
  for (size_t i = 0; i < students.size(); ++i) {
    Json line = {{"kind", "trained"}, {"hash", (*candidates)[i].hash}, {"seed", seed}};
    if (!results[i].failure.empty()) line["failure"] = results[i].failure;
    for (const auto& epoch : results[i].epochs) line["epochs"].push_back(ToJson(epoch.validations[0]));
    if (!dev[i].failure.empty()) {
      line["failure"] = results[i].failure.empty() ? dev[i].failure : results[i].failure;
    } else {
      line["dev"] = ToJson(dev[i]);
    }
    line["seconds"] = seconds / static_cast<double>(students.size());
    lines.push_back(std::move(line));
  }
  lines_.Add(lines);
  fs::remove(job.checkpoint);
}

void Ranker::Run() {
  const auto& architectures = ranking_.architectures;
  size_t begin = 0;
  while (begin < architectures.size()) {
    size_t end = begin + 1;
    while (end < architectures.size() && end - begin < kSideBySide &&
           architectures[end].layer_size() == architectures[begin].layer_size())
      ++end;
    if (!Done(begin, end)) {
      Info("architectures " + std::to_string(begin + 1) + " to " + std::to_string(end) + " of " +
           std::to_string(architectures.size()));
      RunTogether(begin, end);
      if (InterruptRequested()) throw Interrupted();
    }
    begin = end;
  }
}

}  // namespace

void Rank(const Ranking& ranking) {
  for (const auto& architecture : ranking.architectures) models::Resolve(architecture);
  Ranker(ranking).Run();
}

}  // namespace thimble::search
