// The safetensors file format (huggingface/safetensors): 8-byte little-endian header length, JSON header,
// tensor bytes.
#pragma once
#include <map>
#include <string>

#include "models/weights.h"

namespace thimble::models {

struct TensorFile {
  Weights tensors;                              // in the order of their offsets
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// Copies the tensors out of the file. Untrusted input: header length, JSON depth, offsets, sizes, overlaps,
// dtypes and shapes are checked. Error (exit 2) naming file and tensor. dtypes: F32 F16 BF16 F64 I64 I32 U8
// BOOL.
TensorFile ReadSafetensors(const std::string& path);
// Atomic. Tensors are made contiguous and moved to the CPU as needed.
void WriteSafetensors(const std::string& path, const Weights& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace thimble::models
