#include "models/hub/safetensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/files.h"

namespace thimble::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SafetensorsTest : public ::testing::Test {
 protected:
  SafetensorsTest() : path_(::testing::TempDir() + "/thimble_test.safetensors") {}
  ~SafetensorsTest() override { std::filesystem::remove(path_); }

  void WriteBytes(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc).write(bytes.data(), bytes.size());
  }
  // A file with this header and `data` zero bytes behind it.
  void WriteRaw(const std::string& header, size_t data) {
    WriteBytes(Length(header.size()) + header + std::string(data, 0));
  }
  static std::string Length(uint64_t length) {
    return std::string(reinterpret_cast<const char*>(&length), 8);
  }

  std::string Failure() {
    try {
      ReadSafetensors(path_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadRequest);
      EXPECT_THAT(error.what(), HasSubstr(path_));
      return error.what();
    }
    return "no error";
  }

  // The error for one tensor 'w' with this entry; it names the tensor.
  std::string FailureOf(const std::string& entry, size_t data) {
    WriteRaw("{\"w\":" + entry + "}", data);
    const std::string failure = Failure();
    EXPECT_THAT(failure, HasSubstr("tensor 'w'")) << entry;
    return failure;
  }

  std::string path_;
};

TEST_F(SafetensorsTest, RoundTripKeepsTypesShapesOrderAndBits) {
  Weights weights;
  weights.Add("z", at::randn({3, 4}).t());  // not contiguous
  weights.Add("half", at::randn({5}).to(at::kHalf));
  weights.Add("a \"quoted\" ü", at::randn({2, 2}).to(at::kBFloat16));
  weights.Add("double", at::randn({2, 1, 3}).to(at::kDouble));
  weights.Add("scalar", at::full({}, 7, at::kLong));
  weights.Add("int", at::arange(3).to(at::kInt));
  weights.Add("empty", at::empty({0, 4}));
  weights.Add("byte", at::arange(3).to(at::kByte));
  weights.Add("bool", at::arange(3).to(at::kBool));
  weights.Add("odd numbers", at::full({2}, std::nan("")));
  WriteSafetensors(path_, weights, {{"format", "pt"}, {"note", "x\ny"}});
  const TensorFile file = ReadSafetensors(path_);
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}, {"note", "x\ny"}}));
  ASSERT_EQ(file.tensors.size(), weights.size());
  for (const auto& [name, tensor] : weights) {
    const at::Tensor& read = file.tensors.at(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_EQ(read.sizes(), tensor.sizes()) << name;
    EXPECT_TRUE(tensor.numel() == 0 || at::allclose(read.to(at::kDouble), tensor.to(at::kDouble), 0, 0, true))
        << name;
  }
  EXPECT_EQ(file.tensors.begin()->first, "z");
  EXPECT_EQ(std::prev(file.tensors.end())->first, "odd numbers");
  uint64_t header = 0;
  std::memcpy(&header, ReadFile(path_).data(), 8);
  EXPECT_EQ(header % 8, 0u) << "tensors begin aligned";
}

TEST_F(SafetensorsTest, AcceptsWhatTheFormatAllows) {
  WriteRaw("{}   ", 0);
  EXPECT_EQ(ReadSafetensors(path_).tensors.size(), 0u);
  WriteRaw(
      R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
      8);
  const TensorFile file = ReadSafetensors(path_);
  EXPECT_EQ(file.tensors.begin()->first, "a") << "in the order of the offsets";
  EXPECT_EQ(file.tensors.at("a").dim(), 0);
}

TEST_F(SafetensorsTest, MissingFile) {
  path_ += ".absent";
  EXPECT_THAT(Failure(), HasSubstr("cannot open"));
}

TEST_F(SafetensorsTest, TruncatedOrForeign) {
  WriteBytes("");
  EXPECT_THAT(Failure(), HasSubstr("too short"));
  WriteBytes("1234567");
  EXPECT_THAT(Failure(), HasSubstr("too short"));
  WriteBytes(Length(100) + "{\"w\":");
  EXPECT_THAT(Failure(), HasSubstr("truncated"));
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{100'000'001}, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    WriteBytes(Length(length) + "{}");
    EXPECT_THAT(Failure(), HasSubstr("longer than it may be")) << length;
  }
  WriteBytes(Length(2) + "{}tail");
  EXPECT_THAT(Failure(), HasSubstr("behind the last tensor"));
}

TEST_F(SafetensorsTest, HeaderIsNoJsonObject) {
  for (const char* header : {"", "{", "{\"w\":}", "\xff\xfe{}", "{\"\xc3\x28\":1}", "{} x"}) {
    WriteRaw(header, 0);
    EXPECT_THAT(Failure(), HasSubstr("not valid JSON")) << header;
  }
  for (const char* header : {"[]", "7", "null", "\"w\""}) {
    WriteRaw(header, 0);
    EXPECT_THAT(Failure(), HasSubstr("not a JSON object")) << header;
  }
  WriteRaw("{\"w\":" + std::string(200000, '[') + std::string(200000, ']') + "}", 0);
  EXPECT_THAT(Failure(), HasSubstr("nests too deeply"));
}

TEST_F(SafetensorsTest, DuplicateNames) {
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  WriteRaw("{\"w\":" + entry + ",\"w\":" + entry + "}", 4);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("twice"), HasSubstr("'w'")));
  WriteRaw(R"({"w":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,4]}})", 4);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("twice"), HasSubstr("'dtype'")));
}

TEST_F(SafetensorsTest, Metadata) {
  WriteRaw(R"({"__metadata__":{"format":1}})", 0);
  EXPECT_THAT(Failure(), HasSubstr("__metadata__ 'format' is not a string"));
  WriteRaw(R"({"__metadata__":"pt"})", 0);
  EXPECT_THAT(Failure(), HasSubstr("__metadata__ is not an object"));
}

TEST_F(SafetensorsTest, WrongTypes) {
  EXPECT_THAT(FailureOf("7", 0), HasSubstr("not an object"));
  EXPECT_THAT(FailureOf("{}", 0), HasSubstr("dtype is missing"));
  EXPECT_THAT(FailureOf(R"({"dtype":3,"shape":[1],"data_offsets":[0,4]})", 4), HasSubstr("dtype is missing"));
  EXPECT_THAT(FailureOf(R"({"dtype":"F31","shape":[1],"data_offsets":[0,4]})", 4),
              AllOf(HasSubstr("unknown dtype"), HasSubstr("'F31'"), HasSubstr("F32, F16, BF16")));
  EXPECT_THAT(FailureOf(R"({"dtype":"F32","data_offsets":[0,4]})", 4), HasSubstr("shape is missing"));
  EXPECT_THAT(FailureOf(R"({"dtype":"F32","shape":4,"data_offsets":[0,4]})", 4),
              HasSubstr("shape is missing"));
  EXPECT_THAT(FailureOf(R"({"dtype":"F32","shape":[1]})", 4), HasSubstr("data_offsets is missing"));
}

TEST_F(SafetensorsTest, Shapes) {
  for (const char* size :
       {"-1", "1.0", "1e3", "\"1\"", "null", "-9223372036854775808", "18446744073709551616"}) {
    EXPECT_THAT(
        FailureOf(std::string(R"({"dtype":"F32","shape":[)") + size + R"(],"data_offsets":[0,4]})", 4),
        HasSubstr("natural numbers"))
        << size;
  }
  for (const char* shape :
       {"[18446744073709551615]", "[9223372036854775807,2]", "[4294967296,4294967296]",
        "[0,4294967296,4294967296]", "[4294967296,0,4294967296]", "[2305843009213693952]"}) {
    EXPECT_THAT(FailureOf(std::string(R"({"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,0]})", 0),
                HasSubstr("overflows"))
        << shape;
  }
  std::string many = "1";
  for (int i = 0; i < 64; ++i) many += ",1";
  EXPECT_THAT(FailureOf(R"({"dtype":"F32","shape":[)" + many + R"(],"data_offsets":[0,4]})", 4),
              HasSubstr("too long"));
}

TEST_F(SafetensorsTest, Offsets) {
  auto failure = [&](const std::string& offsets, const std::string& shape = "[2]") {
    return FailureOf(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}", 8);
  };
  EXPECT_THAT(failure("[0,12]", "[3]"), HasSubstr("outside the file"));
  EXPECT_THAT(failure("[8,0]"), HasSubstr("outside the file"));
  EXPECT_THAT(failure("[18446744073709551608,18446744073709551615]"), HasSubstr("outside the file"));
  EXPECT_THAT(failure("[0,4]"), HasSubstr("disagree with dtype and shape"));
  EXPECT_THAT(failure("[0,8]", "[1000000000000]"), HasSubstr("disagree with dtype and shape"));
  EXPECT_THAT(failure("[-8,0]"), HasSubstr("natural numbers"));
  EXPECT_THAT(failure("[0]"), HasSubstr("wrong length"));
  EXPECT_THAT(failure("[0,4,8]"), HasSubstr("wrong length"));
  EXPECT_THAT(failure("[4,8]", "[1]"), HasSubstr("gap"));
}

TEST_F(SafetensorsTest, Overlaps) {
  WriteRaw(
      R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
      12);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("tensor 'w'"), HasSubstr("overlaps")));
  WriteRaw(
      R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      8);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("tensor 'w'"), HasSubstr("overlaps")));
}

TEST_F(SafetensorsTest, BoolBytes) {
  WriteBytes(Length(50) + R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0)" +
             ",2]}}");  // header cut: not JSON
  EXPECT_THAT(Failure(), HasSubstr("not valid JSON"));
  const std::string header = R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})";
  WriteBytes(Length(header.size()) + header + std::string("\x01\x02", 2));
  EXPECT_THAT(Failure(), AllOf(HasSubstr("tensor 'w'"), HasSubstr("neither 0 nor 1")));
}

// Every file cut short is refused.
TEST_F(SafetensorsTest, EveryTruncationIsAnError) {
  Weights weights;
  weights.Add("a", at::randn({3}));
  weights.Add("b", at::randn({2, 2}).to(at::kHalf));
  WriteSafetensors(path_, weights);
  const std::string bytes = ReadFile(path_);
  for (size_t length = 0; length < bytes.size(); ++length) {
    WriteBytes(bytes.substr(0, length));
    EXPECT_NE(Failure(), "no error") << length << " of " << bytes.size() << " bytes";
  }
}

}  // namespace
}  // namespace thimble::models
