#include "fuzz/fuzz.h"
#include "models/hub/state_dict_pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return thimble::Expecting(data, size, [](std::string_view bytes) {
    for (const auto& tensor : thimble::models::ReadStateDictPickle("fuzz.bin", bytes)) {
      // The last number lies inside the storage, computed wide enough for any input.
      __int128 last = tensor.offset;
      bool empty = false;
      for (size_t i = 0; i < tensor.sizes.size(); ++i) {
        empty |= tensor.sizes[i] == 0;
        last += static_cast<__int128>(tensor.sizes[i] - 1) * tensor.strides[i];
      }
      THIMBLE_CHECK(empty || (last >= 0 && last < tensor.storage_items), tensor.name);
    }
  });
}
