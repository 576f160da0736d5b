#include "fuzz/fuzz.h"
#include "models/hub/torch_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return thimble::Expecting(data, size, [](std::string_view bytes) {
    const thimble::models::TorchArchive archive("fuzz.bin", bytes);
    for (const auto& tensor : archive.tensors()) archive.ReadStorage(tensor);
  });
}
