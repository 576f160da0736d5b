#include "distill/start/data_base.h"
#include "distill/start/cut.h"
#include "distill/start/heads.h"
#include "distill/start/linear_fit.h"
#include "distill/start/refit.h"
#include "distill/start/teacher_record.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "distill/start/mixer_cut.h"
#include "distill/start/surgeon.h"

namespace thimble::distill {
namespace {

constexpr int kNeuronStep = 32;  // neurons go so many at a time

// All layers, heads and neurons of the teacher, at another width.
proto::Architecture Dense(const models::ResolvedArchitecture& teacher, int width) {
  proto::Architecture dense = models::LikeTeacher(teacher);
  dense.set_hidden(width);
  if (width % teacher.heads != 0) dense.set_heads(1);
  *dense.mutable_embedding() = teacher.embedding;
  for (const models::LayerShape& layer : teacher.layers) {
    auto* added = dense.add_layer();
    *added->mutable_mixer() = AttentionOf(HeadsOf(teacher, layer.mixer));
    *added->mutable_ffn() = layer.ffn;
    added->mutable_ffn()->clear_ratio();
    added->mutable_ffn()->set_width(layer.width);
  }
  return dense;
}

// What each size adds to the error of all, a token, in the unit of the teacher's answer.
std::vector<double> Damage(const Elimination& of, double sensitivity, int64_t tokens) {
  std::vector<double> damage;
  for (const double error : of.error)
    damage.push_back(std::max(0.0, error - of.error.back()) * sensitivity / static_cast<double>(tokens));
  return damage;
}

}  // namespace

DataBase MakeDataBase(const DataBaseInput& input) {
  const auto& [teacher, record, basis, fit, held_out, ridge, options] = input;
  const auto width = static_cast<int>(basis.embed.size(0));
  models::Model dense = models::MakeModel(Dense(teacher.shape, width), teacher.classes, teacher.shape.hidden,
                                          Random(0), teacher.head);
  std::vector<int> layer_map(teacher.shape.layers.size());
  std::iota(layer_map.begin(), layer_map.end(), 1);
  CutTeacher(teacher, record, record.by_output, basis, layer_map, {options.weigh_scores()}, &dense,
             Random(0).Fork("unused"));
  DataBase made;
  int step = kNeuronStep;
  for (const models::LayerShape& layer : teacher.shape.layers) step = std::gcd(step, layer.width);
  made.damages.neuron_step = step;
  const auto sensitivity = [&record = record](int norm) {
    return record.sensitivities.empty() ? 0.0 : record.sensitivities[norm];
  };
  const OnRegression add = [&, &teacher = teacher, &record = record, &ridge = ridge](
                               const std::string& block, const Centred& read, const at::Tensor& goal,
                               const at::Tensor& sliced) {
    const auto l = static_cast<int>(made.damages.neurons.size());  // attention comes first
    const std::string layer = "layer." + std::to_string(l) + ".";
    if (block.starts_with(layer + "ffn")) {
      const Elimination of = Eliminate(read, goal, sliced, ridge, 1, step);
      made.damages.neurons.push_back(Damage(of, sensitivity(BlockNorm(l)), record.fit.tokens));
      made.orders.neurons.push_back(record.by_output.neurons[l].index_select(0, of.order));
    } else if (block.starts_with(layer)) {
      const Heads heads = HeadsOf(teacher.shape, teacher.shape.layers[l].mixer);
      const Elimination of = Eliminate(read, goal, sliced, ridge, heads.width, 1);
      made.damages.head_width = static_cast<int>(heads.width);
      made.damages.heads.push_back(Damage(of, sensitivity(AttentionNorm(l)), record.fit.tokens));
      made.orders.heads.push_back(of.order);
    }
  };
  RefitBlocks({record, fit, held_out, layer_map, ridge, Refit::kAll, options.goal(), nullptr, add}, &dense);
  return made;
}

}  // namespace thimble::distill
