// How large: the control of all others.
#include "models/encoder/cost.h"
#include "search/evaluators/proxy.h"

namespace thimble::search::proxies {

ProxyFunction parameters() {
  return {.of_shape = [](const models::ResolvedArchitecture& shape, int classes, models::TaskHead head) {
    return static_cast<double>(models::DeployedParameters(shape, classes, head));
  }};
}

}  // namespace thimble::search::proxies
