// One layer of a forward pass, and the same without keeping what is inside it. For models/torch/forward.cc.
#pragma once
#include "models/model.h"

namespace thimble::models {

struct LayerOutputs {
  at::Tensor state;             // [B, T, h]; with first_token_only of the last layer [B, 1, h]
  at::Tensor attention_logits;  // undefined unless asked for
  at::Tensor kernel_logits;     // likewise
  Projections projections;      // likewise
  at::Tensor routing;           // as Outputs has it
  at::Tensor mixer_state;       // likewise, [B, T, w]
};

// Layer `index` of the model, of shape `layer`, on the states `input` [B, T, h].
LayerOutputs ComputeLayer(const Model& model, int index, const LayerShape& layer, at::Tensor input,
                          const Batch& batch, const ForwardOptions& options);

// The same to the last bit, gradients included. Autograd keeps `input` alone; on the way back the layer runs
// again, with the dropout it had. Chen et al., 2016 (Training deep nets with sublinear memory cost). `model`
// and `batch` must live until then.
LayerOutputs Recomputed(const Model& model, int index, const LayerShape& layer, const at::Tensor& input,
                        const Batch& batch, const ForwardOptions& options);

}  // namespace thimble::models
