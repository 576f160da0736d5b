// A file of numbers over steps as TensorBoard reads them: records of Event messages (proto/event.proto), each
// framed as a TFRecord, with checksums of its length and its bytes.
#pragma once
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace thimble::proto {
class Event;
}

namespace thimble::train {

// One record: length (64 bits, little endian), its masked CRC-32C, the bytes, their masked CRC-32C.
std::string TfRecord(std::string_view bytes);

// How the names of such files begin: TensorBoard knows them by it.
inline constexpr char kEventFiles[] = "events.out.tfevents.";

class EventFile {
 public:
  // Begins a new file, kEventFiles..., in `directory`, which is made where it is missing. What earlier
  // files there say of `from` and later steps counts no more. Error (exit 1), as of Scalar.
  EventFile(const std::string& directory, int64_t from);
  void Scalar(const std::string& tag, int64_t step, double value);
  void Flush();

 private:
  void Write(proto::Event event);

  std::string path_;
  std::ofstream file_;
};

}  // namespace thimble::train
