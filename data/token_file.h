// Tokenized rows in one file, read through a memory mapping: a dataset kept for the next run, or a part of a
// corpus. docs/formats.md, "Tokens".
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/files.h"
#include "data/dataset.h"

namespace thimble::data {

// Atomic. `key` names what the content follows from.
void WriteTokenFile(const std::string& path, const std::string& key, const Dataset& data);

class TokenFile {
 public:
  // nullptr if there is no such file, or it is damaged, of another version of the format or of another key:
  // to be made anew. Reads the whole file once, for its checksum.
  static std::unique_ptr<const TokenFile> Open(const std::string& path, const std::string& key);

  size_t rows() const { return rows_; }
  std::span<const int32_t> Ids(size_t row) const;
  int32_t Label(size_t row) const;
  Dataset Load(size_t begin, size_t end) const;  // those rows; SpanWindow::row as it was written
  Dataset Load() const;                          // all, with their hash

  // Drops the pages that were read: the kernel counts them to the process while they are mapped.
  void Forget() const;

  // The layout; token_file.cc.
  struct Header;
  struct Record;

 private:
  explicit TokenFile(const std::string& path) : file_(path) {}
  const Header& header() const;

  MappedFile file_;
  size_t rows_ = 0;
  // Arrays of the mapped file.
  const uint64_t *starts_ = nullptr, *window_starts_ = nullptr;  // one more than rows
  const Record* records_ = nullptr;
  const int32_t* ids_ = nullptr;
  const Offset* offsets_ = nullptr;
  const uint8_t* widest_ = nullptr;
};

}  // namespace thimble::data
