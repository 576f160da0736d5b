// tokenizer.json; or, where the input holds zero bytes, the files of a directory between them: vocab.txt,
// tokenizer_config.json, special_tokens_map.json, added_tokens.json, tokenizer.json, config.json, those that
// are not empty. What can be read cuts a text.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/log.h"
#include "data/text/wordpiece.h"
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
  std::string path() const { return path_.string(); }
  // No bytes: no file.
  std::string Write(const char* name, std::string_view bytes) const {
    if (bytes.empty()) {
      fs::remove(path_ / name);
      return (path_ / name).string();
    }
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
  static const bool quiet = [] {  // of files that contradict each other
    thimble::SetLog(thimble::LogFormat::kText);
    spdlog::get("thimble")->set_level(spdlog::level::off);
    return true;
  }();
  (void)quiet;
  return thimble::Expecting(data, size, [](std::string_view bytes) {
    std::string path = directory.Write("tokenizer.json", bytes);
    if (bytes.find('\0') != std::string_view::npos) {
      std::string_view rest = bytes;
      for (const char* name : {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json",
                               "added_tokens.json", "tokenizer.json", "config.json"}) {
        const size_t end = std::min(rest.find('\0'), rest.size());
        path = directory.Write(name, rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      path = directory.path();
    }
    const thimble::data::WordPiece tokenizer(path);
    tokenizer.Encode("The ferry [SEP] le\xcc\x80ve's at noon\xe4\xb8\xad.", bytes.substr(0, 200), true, 64);
  });
}
