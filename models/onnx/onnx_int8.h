// Weights in eight bits.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::models {

struct Int8Matrix {
  at::Tensor values;  // [rows, columns] int8
  at::Tensor scales;  // [rows] float32: values * scale is the row
};

// Symmetric, one scale a row: the row's largest magnitude becomes `largest`.
Int8Matrix ToInt8(const at::Tensor& matrix, int largest);

// Largest magnitude of each input channel of each linear but the head over `batches`, [in] float32, by the
// linear's name: "layer.0.attention.out"; of those tokens that a graph puts through it. Batches of one row:
// padding would count. WorkFailed if the model says NaN or infinity of one.
std::map<std::string, at::Tensor> InputMagnitudes(const Model& model, const std::vector<Batch>& batches);

// What the inputs of linears that share them are divided by, and their weights [out, in] multiplied with, so
// that eight bits hold both: inputs^0.7 / weights^0.3 of each channel's largest magnitudes. Xiao et al., ICML
// 2023 (SmoothQuant), equation 4.
at::Tensor SmoothingFactors(const at::Tensor& input_magnitudes, const std::vector<at::Tensor>& weights);

}  // namespace thimble::models
