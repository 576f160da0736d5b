// Types of numbers in weight files. Free of LibTorch, as everything that parses those files: it is fuzzed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thimble::models {

enum class DataType { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool };

int64_t ItemBytes(DataType type);
std::string_view SafetensorsName(DataType type);  // "F32"
std::optional<DataType> DataTypeOfSafetensors(std::string_view name);
// The type that a storage class of PyTorch has: "FloatStorage".
std::optional<DataType> DataTypeOfStorage(std::string_view name);
std::string SafetensorsNames();  // "F32, F16, ..."

}  // namespace thimble::models
