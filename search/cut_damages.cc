#include "search/cut_damages.h"

#include <algorithm>
#include <cmath>

#include "models/encoder/resolve.h"

namespace thimble::search {

int TeacherLayerOf(int layer, int depth, int teacher_layers) {
  const double height = static_cast<double>((layer + 1) * teacher_layers) / depth;
  return std::max(1, static_cast<int>(std::lround(height))) - 1;
}

double DamageOfSize(const std::vector<double>& damages, int size, int step) {
  return damages[std::min<size_t>(size / step, damages.size() - 1)];
}

double DamageOfDepth(const CutDamages& damages, int depth) {
  const auto teacher_layers = static_cast<int>(damages.heads.size());
  std::vector<bool> kept(teacher_layers, false);
  for (int i = 0; i < depth; ++i) kept[TeacherLayerOf(i, depth, teacher_layers)] = true;
  double sum = 0;
  for (int i = 0; i < teacher_layers; ++i)
    if (!kept[i]) sum += damages.heads[i].front() + damages.neurons[i].front();
  return sum;
}

double DamageOf(const CutDamages& damages, const proto::Architecture& architecture) {
  const models::ResolvedArchitecture shape = models::Resolve(architecture);
  const auto depth = static_cast<int>(shape.layers.size());
  double sum = DamageOfDepth(damages, depth);
  for (int i = 0; i < depth; ++i) {
    const int from = TeacherLayerOf(i, depth, static_cast<int>(damages.heads.size()));
    sum += DamageOfSize(damages.heads[from], models::SizeOf(shape, shape.layers[i].mixer).heads, 1) +
           DamageOfSize(damages.neurons[from], shape.layers[i].width, damages.neuron_step);
  }
  return sum;
}

}  // namespace thimble::search
