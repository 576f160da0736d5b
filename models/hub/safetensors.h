// The safetensors file format (huggingface/safetensors): 8-byte little-endian header length, JSON header,
// tensor bytes.
#pragma once
#include <map>
#include <string>

#include "models/hub/safetensors_header.h"
#include "models/weights.h"

namespace thimble::models {

struct TensorFile {
  Weights tensors;                              // in the order of their offsets
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// Copies the tensors out of the file. Errors as ParseSafetensorsHeader. dtypes: those of
// models/hub/data_type.h.
TensorFile ReadSafetensors(const std::string& path);
// Atomic. Tensors are made contiguous and moved to the CPU as needed.
void WriteSafetensors(const std::string& path, const Weights& tensors,
                      const std::map<std::string, std::string>& metadata = {});

// --- Pieces of reading, for readers of many files. ---

at::ScalarType ScalarTypeOf(DataType type);
// Error with `where`: LibTorch computes nonsense with another byte in a bool.
void CheckBoolBytes(const std::string& where, std::string_view bytes);
// `data` of the entry's header.
at::Tensor CopyOut(const std::string& path, const SafetensorsEntry& entry, std::string_view data);

}  // namespace thimble::models
