#include "models/torch/dispatch.h"

#include <ATen/ATen.h>

#include <functional>

namespace thimble::models::experts {
namespace {

at::Tensor Noise(const at::Tensor& like, Random* random, const std::function<double(Random*)>& draw) {
  Random stream(random->Next());
  at::Tensor noise = at::empty(like.sizes(), at::kFloat);
  float* values = noise.mutable_data_ptr<float>();
  for (int64_t i = 0; i < noise.numel(); ++i) values[i] = static_cast<float>(draw(&stream));
  return noise.to(like.options());
}

}  // namespace

Routing Choose(const at::Tensor& shares, int64_t count) {
  const at::Tensor flat = shares.flatten(0, -2);
  const at::Tensor choice = flat.argmax(-1);
  Routing routing;
  for (int64_t e = 0; e < count; ++e) routing.tokens.push_back((choice == e).nonzero().flatten());
  const at::Tensor order = at::cat(routing.tokens);
  routing.place = at::empty_like(order);
  routing.place.index_copy_(0, order, at::arange(order.size(0), order.options()));
  routing.factor = flat.gather(1, choice.unsqueeze(1)) * static_cast<double>(count);
  return routing;
}

at::Tensor TokensOf(const Routing& routing, const at::Tensor& x, int64_t expert) {
  return x.flatten(0, -2).index_select(0, routing.tokens[expert]).unsqueeze(0);
}

at::Tensor Together(const Routing& routing, const at::Tensor& x, const std::vector<at::Tensor>& parts) {
  const at::Tensor all = at::cat(parts, 1)[0].index_select(0, routing.place);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = all.size(1);
  return (all * routing.factor.to(all.scalar_type())).view(sizes);
}

at::Tensor TopShares(const at::Tensor& logits, int64_t k) {
  if (k == logits.size(-1)) return at::softmax(logits, -1);
  const auto [largest, places] = at::topk(logits, k, -1);
  return at::zeros_like(logits).scatter(-1, places, at::softmax(largest, -1));
}

at::Tensor UniformNoise(const at::Tensor& like, double limit, Random* random) {
  return Noise(like, random, [limit](Random* stream) { return limit * (2 * stream->Uniform() - 1); });
}

at::Tensor NormalNoise(const at::Tensor& like, Random* random) {
  return Noise(like, random, [](Random* stream) { return stream->Normal(); });
}

}  // namespace thimble::models::experts
