// Architectures as a report's JSON has them: layers that are equal are said once.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "proto/architecture.pb.h"

namespace thimble::tools {

// {"hidden": 264, "embedding": "plain", "layers": [0, 0, 3]}: numbers of what List says.
class LayerKinds {
 public:
  nlohmann::ordered_json Json(const proto::Architecture& architecture);
  // [{"mixer": "self_attention", "heads": 4, "head_width": 22, "ffn": "expression", "blocks": 1, "width":
  // 1536, "text": "linear(gelu(...", "tree": ["linear", ["gelu", ...]]}]. Heads: 0 where a mixer has none;
  // tree: of blocks that are an expression.
  const nlohmann::ordered_json& List() const { return list_; }

 private:
  nlohmann::ordered_json list_ = nlohmann::ordered_json::array();
  std::map<std::string, int> known_;  // by their text
};

}  // namespace thimble::tools
