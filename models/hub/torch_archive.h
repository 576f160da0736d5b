// A file that torch.save wrote of a state dict (the zip format of PyTorch 1.6 and later): pytorch_model.bin.
// Nothing of it is executed. Free of LibTorch.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/hub/state_dict_pickle.h"

namespace thimble::models {

class TorchArchive {
 public:
  // `bytes` is the whole file and outlives the object, `path` its name for messages. Error (exit 2) if it is
  // no such file, of the older format, compressed or of a big-endian machine, or a tensor's storage is
  // missing or of another size. The tensors together have at most four times the bytes of the file: tensors
  // may share numbers, and a small file must not ask for much memory.
  TorchArchive(const std::string& path, std::string_view bytes);
  ~TorchArchive();

  const std::vector<PickledTensor>& tensors() const { return tensors_; }
  // All bytes of the tensor's storage, their checksum checked. Not thread-safe.
  std::string ReadStorage(const PickledTensor& tensor) const;

 private:
  class Zip;
  std::string path_;
  std::unique_ptr<Zip> zip_;
  std::string root_;  // "archive/": every entry lies below one folder
  std::vector<PickledTensor> tensors_;
};

}  // namespace thimble::models
