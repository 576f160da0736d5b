#include "models/hub/torch_archive.h"

#include <zip.h>

#include <map>

#include "base/error.h"

namespace thimble::models {
namespace {

constexpr char kAdvice[] =
    "a file that torch.save(model.state_dict(), FILE) of PyTorch 1.6 or later wrote; to write it anew in "
    "Python: torch.save(torch.load(FILE, weights_only=True), FILE)";

}  // namespace

// libzip reads the directory (zip64 too) and checks checksums.
class TorchArchive::Zip {
 public:
  Zip(const std::string& path, std::string_view bytes) : path_(path), file_bytes_(bytes.size()) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error);
    if (source != nullptr) {
      zip_ = zip_open_from_source(source, ZIP_RDONLY, &error);
      if (zip_ == nullptr) zip_source_free(source);
    }
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (zip_ == nullptr) throw BadRequest(path_, "not a zip file, or a truncated one: " + why, "", kAdvice);
  }
  ~Zip() { zip_discard(zip_); }
  Zip(const Zip&) = delete;
  Zip& operator=(const Zip&) = delete;

  // The folder that holds data.pkl, with its slash.
  std::string Root() const {
    constexpr std::string_view kPickle = "/data.pkl";
    const zip_int64_t count = zip_get_num_entries(zip_, 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* name = zip_get_name(zip_, i, ZIP_FL_ENC_RAW);
      const std::string_view text = name == nullptr ? "" : name;
      if (text.ends_with(kPickle) && text.find('/') == text.size() - kPickle.size())
        return std::string(text.substr(0, text.size() - kPickle.size() + 1));
    }
    throw BadRequest(path_, "a zip file without data.pkl", "", kAdvice);
  }

  bool Has(const std::string& name) const { return zip_name_locate(zip_, name.c_str(), ZIP_FL_ENC_RAW) >= 0; }

  // Of an entry that is stored as it is, as torch.save does: so that an entry is never larger than the file.
  uint64_t Size(const std::string& name) const { return Find(name).size; }

  std::string Read(const std::string& name) const {
    const zip_stat_t entry = Find(name);
    std::string bytes(entry.size, '\0');
    zip_file_t* file = zip_fopen_index(zip_, entry.index, 0);
    if (file == nullptr) throw Damaged(name, zip_strerror(zip_));
    uint64_t read = 0;
    zip_int64_t count = 1;
    while (count > 0 && read < bytes.size()) {
      count = zip_fread(file, bytes.data() + read, bytes.size() - read);
      if (count > 0) read += count;
    }
    // The checksum is compared at the end.
    char beyond = 0;
    if (count >= 0 && read == bytes.size()) count = zip_fread(file, &beyond, 1);
    const std::string why = zip_file_strerror(file);
    zip_fclose(file);
    if (count != 0 || read != bytes.size()) throw Damaged(name, count < 0 ? why : "another length");
    return bytes;
  }

 private:
  Error Damaged(const std::string& name, const std::string& why) const {
    return BadRequest(path_ + ", entry '" + name + "'", "damaged: " + why);
  }

  zip_stat_t Find(const std::string& name) const {
    zip_stat_t entry;
    zip_stat_init(&entry);
    const std::string where = path_ + ", entry '" + name + "'";
    if (zip_stat(zip_, name.c_str(), ZIP_FL_ENC_RAW, &entry) != 0)
      throw BadRequest(where, "missing", "", kAdvice);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                     ZIP_STAT_ENCRYPTION_METHOD | ZIP_STAT_INDEX;
    if ((entry.valid & kNeeded) != kNeeded || entry.comp_method != ZIP_CM_STORE ||
        entry.encryption_method != ZIP_EM_NONE || entry.size != entry.comp_size)
      throw BadRequest(where, "compressed or encrypted", "", "stored, as torch.save does");
    if (entry.size > file_bytes_) throw BadRequest(where, "longer than the file", std::to_string(entry.size));
    return entry;
  }

  std::string path_;
  uint64_t file_bytes_;
  zip_t* zip_ = nullptr;
};

TorchArchive::TorchArchive(const std::string& path, std::string_view bytes) : path_(path) {
  if (bytes.starts_with("\x80\x02"))
    throw BadRequest(path, "written by torch.save in the format before PyTorch 1.6", "a bare pickle",
                     kAdvice);
  zip_ = std::make_unique<Zip>(path, bytes);
  root_ = zip_->Root();
  // Written since PyTorch 2.0.
  if (const std::string order = root_ + "byteorder"; zip_->Has(order)) {
    constexpr uint64_t kLongest = 16;
    const std::string text = zip_->Size(order) > kLongest ? "something else" : zip_->Read(order);
    if (text != "little") throw BadRequest(path, "numbers in another byte order", "'" + text + "'", "little");
  }
  tensors_ = ReadStateDictPickle(path + ", data.pkl", zip_->Read(root_ + "data.pkl"));
  std::map<std::string, uint64_t> sizes;  // of entries
  uint64_t left = bytes.size() > UINT64_MAX / 4 ? UINT64_MAX : 4 * bytes.size();
  for (const PickledTensor& tensor : tensors_) {
    const auto [found, fresh] = sizes.try_emplace(tensor.storage);
    if (fresh) found->second = zip_->Size(root_ + "data/" + tensor.storage);
    const uint64_t item = ItemBytes(tensor.type);
    if (found->second % item != 0 || found->second / item != static_cast<uint64_t>(tensor.storage_items))
      throw BadRequest(path + ", tensor '" + tensor.name + "'", "its storage has another size",
                       std::to_string(found->second) + " bytes",
                       std::to_string(tensor.storage_items) + " numbers of " + std::to_string(item));
    uint64_t items = 1;
    for (const int64_t size : tensor.sizes) items *= size;
    if (items * item > left) throw BadRequest(path, "the tensors are much larger than the file");
    left -= items * item;
  }
}

TorchArchive::~TorchArchive() = default;

std::string TorchArchive::ReadStorage(const PickledTensor& tensor) const {
  return zip_->Read(root_ + "data/" + tensor.storage);
}

}  // namespace thimble::models
