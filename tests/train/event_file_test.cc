// Records as TensorFlow frames them. What TensorBoard reads of whole files: tests/tools/events_test.py.
#include "train/event_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "tests/data/scratch.h"

namespace thimble::train {
namespace {

uint32_t Number(const std::string& bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i)
    number |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return number;
}

TEST(EventFileTest, ARecordIsItsLengthItsBytesAndTheirChecksums) {
  const std::string record = TfRecord("123456789");
  ASSERT_EQ(record.size(), 8 + 4 + 9 + 4u);
  EXPECT_EQ(record.substr(0, 8), std::string("\x09\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, 9), "123456789");
  // The check value of CRC-32C (RFC 3720, appendix B.4, has others), turned by 15 bits and shifted.
  constexpr uint32_t kCheck = 0xe3069283;
  EXPECT_EQ(Number(record, 21), ((kCheck >> 15) | (kCheck << 17)) + 0xa282ead8u);
  // Of 32 zero bytes it is 0x8a9136aa (RFC 3720).
  constexpr uint32_t kZeros = 0x8a9136aa;
  EXPECT_EQ(Number(TfRecord(std::string(32, '\0')), 8 + 4 + 32),
            ((kZeros >> 15) | (kZeros << 17)) + 0xa282ead8u);
}

TEST(EventFileTest, FilesOfOneSecondHaveNamesInOrder) {
  const data::Scratch scratch;
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) {
    EventFile(scratch.path() + "/run", 1).Scalar("loss", 1, 0.5);
    std::vector<std::string> now;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path() + "/run"))
      now.push_back(entry.path().filename().string());
    std::sort(now.begin(), now.end());
    ASSERT_EQ(now.size(), static_cast<size_t>(i + 1));
    EXPECT_EQ(std::vector<std::string>(now.begin(), now.end() - 1), names) << "the new one is the last";
    names = now;
  }
}

TEST(EventFileTest, AFolderThatCannotBeMadeIsAnError) {
  const data::Scratch scratch;
  scratch.Write("file", "");
  EXPECT_THROW(EventFile(scratch.path() + "/file/run", 1), Error);
}

}  // namespace
}  // namespace thimble::train
