#include "bench/bert_base.h"

namespace thimble::bench {

models::Model BertBase(int classes) {
  proto::Architecture architecture;
  architecture.set_hidden(768);
  architecture.set_heads(12);
  architecture.set_ffn_hidden(3072);
  architecture.mutable_embedding()->mutable_plain();
  for (int i = 0; i < 12; ++i) {
    auto* layer = architecture.add_layer();
    layer->mutable_mixer()->mutable_self_attention();
    layer->mutable_ffn()->set_expression("linear(gelu_erf(linear(x,wb1)),wb2)");
  }
  return models::MakeModel(architecture, classes, 0, Random(1));
}

}  // namespace thimble::bench
