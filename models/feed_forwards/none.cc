// Nothing: what is left of a block where all neurons are cut away.
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models::feed_forwards {
namespace {

constexpr char kPython[] = R"py(class NoFeedForward(Block):
    def __init__(self, config, spec, width, linear=None):
        super().__init__(config)

    def forward(self, x):
        return self.norm(x)
)py";

}  // namespace

FeedForwardEntry none() {
  return {.run = [](const LayerShape&, int, const Value&, Ops&) { return Value(); }, .python = kPython};
}

}  // namespace thimble::models::feed_forwards
