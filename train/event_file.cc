#include "train/event_file.h"

#include <isa-l/crc.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "proto/event.pb.h"

namespace thimble::train {
namespace fs = std::filesystem;
namespace {

// CRC-32C, turned and shifted: TFRecord's way to keep a checksum of bytes that hold checksums from being 0.
uint32_t MaskedCrc(std::string_view bytes) {
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));  // it only reads
  const uint32_t crc = ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~0u);
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <typename T>
std::string LittleEndian(T number) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes.push_back(static_cast<char>(number >> (8 * i)));
  return bytes;
}

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// TensorBoard reads the files of a folder in the order of their names: seconds, then what tells them apart.
std::string NewPath(const std::string& directory) {
  const std::string stem = directory + "/" + kEventFiles + std::to_string(static_cast<int64_t>(Now())) + "." +
                           std::to_string(getpid()) + ".";
  for (int number = 0;; ++number) {
    std::string digits = std::to_string(number);
    digits.insert(0, 6 - std::min<size_t>(6, digits.size()), '0');
    if (!fs::exists(stem + digits)) return stem + digits;
  }
}

}  // namespace

std::string TfRecord(std::string_view bytes) {
  const std::string length = LittleEndian<uint64_t>(bytes.size());
  std::string record = length + LittleEndian(MaskedCrc(length));
  record.append(bytes);
  return record + LittleEndian(MaskedCrc(bytes));
}

EventFile::EventFile(const std::string& directory, int64_t from) {
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed) throw WorkFailed(directory, failed.message());
  path_ = NewPath(directory);
  file_.open(path_, std::ios::binary);
  proto::Event version;
  version.set_file_version("brain.Event:2");
  Write(std::move(version));
  proto::Event start;
  start.set_step(from);
  start.mutable_session_log()->set_status(proto::SessionLog::START);
  Write(std::move(start));
  Flush();
}

void EventFile::Scalar(const std::string& tag, int64_t step, double value) {
  proto::Event event;
  event.set_step(step);
  auto* said = event.mutable_summary()->add_value();
  said->set_tag(tag);
  said->set_simple_value(static_cast<float>(value));
  Write(std::move(event));
}

void EventFile::Flush() {
  file_.flush();
  if (!file_) throw WorkFailed(path_, std::strerror(errno));
}

void EventFile::Write(proto::Event event) {
  event.set_wall_time(Now());
  const std::string record = TfRecord(event.SerializeAsString());
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
  if (!file_) throw WorkFailed(path_, std::strerror(errno));
}

}  // namespace thimble::train
