// tokenizer.json; or, where the input holds a zero byte, vocab.txt and tokenizer_config.json on its two
// sides. What can be read cuts a text.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "data/wordpiece.h"
#include "fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

// In memory where there is such a place.
class Directory {
 public:
  Directory() {
    const fs::path memory = "/dev/shm";
    path_ = (fs::exists(memory) ? memory : fs::temp_directory_path()) /
            ("thimble_fuzz_" + std::to_string(getpid()));
    fs::create_directories(path_);
  }
  ~Directory() { fs::remove_all(path_); }
  std::string Write(const char* name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return (path_ / name).string();
  }

 private:
  fs::path path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Directory directory;
  return thimble::Expecting(data, size, [](std::string_view bytes) {
    const size_t zero = bytes.find('\0');
    std::string path;
    if (zero == std::string_view::npos) {
      path = directory.Write("tokenizer.json", bytes);
    } else {
      directory.Write("tokenizer_config.json", bytes.substr(zero + 1));
      path = directory.Write("vocab.txt", bytes.substr(0, zero));
    }
    const thimble::data::WordPiece tokenizer(path);
    tokenizer.Encode("The ferry [SEP] le\xcc\x80ve's at noon\xe4\xb8\xad.", bytes.substr(0, 200), true, 64);
  });
}
