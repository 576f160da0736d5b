#include "optim/groups.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim {
namespace {

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Number of "layer.N...."; -1 for another name.
int LayerOf(const std::string& name) {
  const std::string start = "layer.";
  return StartsWith(name, start) ? std::atoi(name.c_str() + start.size()) : -1;
}

void ApplyLayerDecay(double decay, Parameters* parameters) {
  int layers = 0;
  for (const Parameter& parameter : *parameters) layers = std::max(layers, LayerOf(parameter.name) + 1);
  for (Parameter& parameter : *parameters) {
    const int layer = LayerOf(parameter.name);
    if (layer >= 0)
      parameter.rate_factor *= std::pow(decay, layers - layer);
    else if (StartsWith(parameter.name, "embedding."))
      parameter.rate_factor *= std::pow(decay, layers + 1);
  }
}

}  // namespace

bool DecayByName(const std::string& name) {
  return !EndsWith(name, ".bias") && name.find(".norm.") == std::string::npos;
}

void ApplyGroups(const proto::Optimizer& spec, Parameters* parameters) {
  if (spec.layer_decay() != 1) ApplyLayerDecay(spec.layer_decay(), parameters);
  std::vector<bool> matched(spec.group_size());
  for (Parameter& parameter : *parameters) {
    bool taken = false;
    for (int i = 0; i < spec.group_size(); ++i) {
      const proto::Group& group = spec.group(i);
      if (fnmatch(group.pattern().c_str(), parameter.name.c_str(), 0) != 0) continue;
      matched[i] = true;  // also if an earlier group took it: the pattern is not misspelt
      if (taken) continue;
      taken = true;
      parameter.rate_factor *= group.rate_factor();
      if (group.has_weight_decay()) parameter.weight_decay = group.weight_decay();
    }
  }
  for (int i = 0; i < spec.group_size() && !parameters->empty(); ++i)
    if (!matched[i])
      throw BadRequest("optimizer.group[" + std::to_string(i) + "].pattern", "matches no parameter",
                       spec.group(i).pattern(),
                       "names such as " + parameters->front().name + " and " + parameters->back().name +
                           ", with * for any text");
}

}  // namespace thimble::optim
