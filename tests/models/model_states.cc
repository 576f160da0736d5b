// model_states MODEL BATCH OUT float|double: what the model of a directory computes for a batch, for
// transformers_check.py. BATCH is a safetensors file with ids, segments and mask; OUT gets hidden.N (N from
// 0, the embedding) and scores.N, before mask and softmax.
#include <ATen/ATen.h>

#include <cstdio>

#include "base/error.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"
#include "tests/models/fixtures.h"

int main(int count, char** arguments) {
  using namespace thimble::models;
  if (count != 5) {
    std::fputs("usage: model_states MODEL BATCH OUT float|double\n", stderr);
    return thimble::kBadRequest;
  }
  try {
    Pretrained read = LoadPretrained(arguments[1]);
    if (arguments[4] == std::string("double")) MakeDouble(&read.model);
    const TensorFile input = ReadSafetensors(arguments[2]);
    Batch batch;
    batch.ids = input.tensors.at("ids");
    batch.segments = input.tensors.at("segments");
    batch.mask = input.tensors.at("mask").to(at::kFloat);
    const at::InferenceMode inference;
    ForwardOptions options;
    options.hidden_states = options.attention_logits = true;
    const Outputs outputs = Forward(read.model, batch, options);
    Weights states;
    for (size_t i = 0; i < outputs.hidden_states.size(); ++i)
      states.Add("hidden." + std::to_string(i), outputs.hidden_states[i]);
    for (size_t i = 0; i < outputs.attention_logits.size(); ++i)
      states.Add("scores." + std::to_string(i), outputs.attention_logits[i]);
    WriteSafetensors(arguments[3], states);
  } catch (const thimble::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.code();
  }
}
