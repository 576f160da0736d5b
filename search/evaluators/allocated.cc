#include "search/evaluators/allocated.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "distill/layer_map.h"
#include "models/encoder/resolve.h"
#include "search/allocation.h"
#include "train/divergence.h"
#include "train/evaluate.h"
#include "train/threads.h"

namespace thimble::search {
namespace {

constexpr int kJudgeBatch = 32;
// Refitted and judged, of those with the least sum of damages: of a width, and of a width and a depth.
constexpr size_t kJudgedTapers = 8, kJudgedUniforms = 4;

// A student of the teacher's kinds: of `depth` layers, with these heads and neurons; -1: all.
class Shapes {
 public:
  Shapes(const models::Model& teacher, const distill::Damages& damages, int width, int depth)
      : teacher_(teacher),
        damages_(damages),
        from_(distill::NearestLayers(depth, static_cast<int>(teacher.shape.layers.size()))),
        width_(width),
        depth_(depth) {}

  proto::Architecture Make(const Allocation& allocation) const {
    auto student = models::LikeTeacher(teacher_.shape);
    student.set_hidden(width_);
    if (width_ % teacher_.shape.heads != 0) student.set_heads(1);
    *student.mutable_embedding() = teacher_.shape.embedding;
    for (int i = 0; i < depth_; ++i) {
      auto* layer = student.add_layer();
      SetHeads(allocation.heads[i], layer->mutable_mixer());
      if (allocation.neurons[i] == 0) {
        layer->mutable_ffn()->mutable_none();
        continue;
      }
      layer->mutable_ffn()->set_expression(teacher_.shape.layers[from_[i] - 1].expression.ToString());
      layer->mutable_ffn()->set_width(allocation.neurons[i]);
    }
    return student;
  }

  Allocation All() const {
    Allocation all;
    for (int i = 0; i < depth_; ++i) {
      all.heads.push_back(static_cast<int>(damages_.heads[from_[i] - 1].size()) - 1);
      all.neurons.push_back((static_cast<int>(damages_.neurons[from_[i] - 1].size()) - 1) * damages_.neuron_step);
    }
    return all;
  }
  Allocation None() const { return {std::vector<int>(depth_, 0), std::vector<int>(depth_, 0)}; }

  // With all heads and neurons, and no heads beside them.
  proto::Architecture Supernet() const {
    auto supernet = Make(All());
    for (auto& layer : *supernet.mutable_layer()) layer.add_beside()->mutable_none();
    return supernet;
  }

  AllocationCosts Costs(const Budget& budget) const {
    AllocationCosts costs;
    costs.neuron_step = damages_.neuron_step;
    costs.fixed = budget.cost(Make(None()));
    const auto of = [&](const Allocation& allocation) { return budget.cost(Make(allocation)) - costs.fixed; };
    const Allocation all = All();
    for (int i = 0; i < depth_; ++i) {
      std::vector<double> heads = {0}, neurons = {0};
      for (int k = 1; k <= all.heads[i]; ++k) {
        Allocation one = None();
        one.heads[i] = k;
        heads.push_back(of(one));
      }
      for (int k = damages_.neuron_step; k <= all.neurons[i]; k += damages_.neuron_step) {
        Allocation one = None();
        one.neurons[i] = k;
        neurons.push_back(of(one));
      }
      costs.heads.push_back(std::move(heads));
      costs.neurons.push_back(std::move(neurons));
    }
    return costs;
  }

 private:
  void SetHeads(int heads, proto::Mixer* mixer) const {
    if (heads == 0) {
      mixer->mutable_none();
      return;
    }
    mixer->mutable_self_attention()->set_heads(heads);
    mixer->mutable_self_attention()->set_head_width(damages_.head_width);
  }

  const models::Model& teacher_;
  const distill::Damages& damages_;
  const std::vector<int> from_;  // teacher layer, from 1, of each
  const int width_, depth_;
};

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

// Of the blocks alone, summed: those of a layer that is left out are without all of theirs.
double Damage(const distill::Damages& damages, const Allocation& allocation, int teacher_layers) {
  const auto layers = static_cast<int>(allocation.heads.size());
  double sum = 0;
  std::vector<bool> kept(teacher_layers, false);
  const std::vector<int> map = distill::NearestLayers(layers, teacher_layers);
  for (int i = 0; i < layers; ++i) {
    const int from = map[i] - 1;
    kept[from] = true;
    sum += damages.heads[from][allocation.heads[i]] + damages.neurons[from][allocation.neurons[i] / damages.neuron_step];
  }
  for (int i = 0; i < teacher_layers; ++i)
    if (!kept[i]) sum += damages.heads[i][0] + damages.neurons[i][0];
  return sum;
}

std::vector<int> WithoutRepeats(std::vector<int> values) {
  std::sort(values.rbegin(), values.rend());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

AllocationOptions Filled(AllocationOptions options, const models::Model& teacher) {
  const auto layers = static_cast<int>(teacher.shape.layers.size());
  if (options.widths.empty()) options.widths = {teacher.shape.hidden, teacher.shape.hidden * 3 / 4};
  if (options.depths.empty()) options.depths = {layers, std::max(1, layers * 2 / 3), std::max(1, layers / 2)};
  options.widths = WithoutRepeats(options.widths);
  options.depths = WithoutRepeats(options.depths);
  return options;
}

}  // namespace

Allocator::Allocator(const models::Model& teacher, const distill::SlicedStart& start, const data::Dataset& judge,
                     AllocationOptions options)
    : teacher_(teacher),
      start_(start),
      judge_(judge),
      options_(Filled(std::move(options), teacher)),
      answers_(train::Logits(teacher, judge, kJudgeBatch)) {}

const models::Model& Allocator::Supernet(const proto::Architecture& student) {
  const std::pair<int, int> size = {student.hidden(), student.layer_size()};
  auto found = supernets_.find(size);
  if (found == supernets_.end()) {
    const distill::Damages damages = start_.DamagesAt(size.first);
    const auto largest = Shapes(teacher_, damages, size.first, size.second).Supernet();
    found = supernets_.emplace(size, start_.MakeSupernet(largest, options_.seed, /*sort_heads=*/true)).first;
  }
  return found->second;
}

models::Model Allocator::Make(const proto::Architecture& architecture, distill::SlicedReport* report) {
  return start_.MakeCandidate(Supernet(architecture), architecture, report);
}

AllocatedStudent Allocator::Judge(std::string rule, const proto::Architecture& architecture, const Budget& budget) {
  AllocatedStudent student{std::move(rule), architecture, budget.cost(architecture)};
  student.row_divergences = train::Divergences(answers_, train::Logits(Make(architecture), judge_, kJudgeBatch), teacher_);
  student.divergence = std::accumulate(student.row_divergences.begin(), student.row_divergences.end(), 0.0) /
                       static_cast<double>(student.row_divergences.size());
  return student;
}

std::vector<AllocatedStudent> Allocator::Allocate(const Budget& budget) {
  std::vector<std::pair<std::string, proto::Architecture>> candidates;
  double least = HUGE_VAL;
  Random random(options_.seed);
  const auto layers = static_cast<int>(teacher_.shape.layers.size());
  std::vector<int> depths = options_.depths;  // plans and tapers are of the teacher's
  if (depths.front() != layers) depths.insert(depths.begin(), layers);
  for (const int width : options_.widths) {
    Say("what heads and neurons are worth, at width " + std::to_string(width));
    const distill::Damages damages = start_.DamagesAt(width);
    for (const int depth : depths) {
      const Shapes shapes(teacher_, damages, width, depth);
      const AllocationCosts costs = shapes.Costs(budget);
      // Less than one head in one layer is no student.
      double one_head = HUGE_VAL;
      for (const auto& heads : costs.heads) one_head = std::min(one_head, heads[1]);
      least = std::min(least, costs.fixed + one_head);
      if (costs.fixed + one_head > budget.limit) continue;
      const auto add = [&](const std::string& rule, std::vector<Allocation> allocations, size_t most) {
        if (std::find(options_.rules.begin(), options_.rules.end(), rule) == options_.rules.end()) return;
        std::stable_sort(allocations.begin(), allocations.end(), [&](const Allocation& a, const Allocation& b) {
          return Damage(damages, a, layers) < Damage(damages, b, layers);
        });
        for (size_t i = 0; i < std::min(most, allocations.size()); ++i)
          candidates.emplace_back(rule, shapes.Make(allocations[i]));
      };
      add("uniform", Uniforms(costs, budget.limit), kJudgedUniforms);
      if (depth != layers) continue;
      add("plan", {Plan(costs, damages.heads, damages.neurons, budget.limit)}, 1);
      add("taper", Tapers(costs, budget.limit), kJudgedTapers);
      std::vector<Allocation> by_chance;
      for (int i = 0; i < options_.random; ++i)
        by_chance.push_back(RandomAllocation(costs, budget.limit, &random));
      add("random", by_chance, by_chance.size());
    }
  }
  if (candidates.empty())
    throw BadRequest(budget.name, "no student of this teacher costs so little", Number(budget.limit) + " " + budget.unit,
                     "at least " + Number(least) + " " + budget.unit);
  for (const auto& [rule, architecture] : candidates) Supernet(architecture);  // before they are read side by side
  std::vector<AllocatedStudent> judged(candidates.size());
  Progress progress("judging allocations", static_cast<int64_t>(candidates.size()));
  std::mutex mutex;
  int done = 0;
  ParallelFor(candidates.size(), options_.threads, [&](size_t i) {
    if (InterruptRequested()) throw Interrupted();
    const train::TorchThreads one(1);
    judged[i] = Judge(candidates[i].first, candidates[i].second, budget);
    const std::lock_guard lock(mutex);
    progress.Update(++done);
  });
  std::stable_sort(judged.begin(), judged.end(),
                   [](const auto& a, const auto& b) { return a.divergence < b.divergence; });
  return judged;
}

}  // namespace thimble::search
