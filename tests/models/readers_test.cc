// What weight files and configurations of others may not do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "models/hub/hub_config.h"
#include "models/hub/state_dict_pickle.h"
#include "models/hub/torch_archive.h"
#include "models/hub/weight_index.h"

namespace thimble::models {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Read>
std::string FailureOf(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadRequest);
    return error.what();
  }
  return "no error";
}

// --- Pickles, written instruction by instruction ---

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}
std::string Text(const std::string& text) { return "X" + Little(text.size(), 4) + text; }
std::string Number(int64_t value) {
  if (value >= 0 && value < 256) return "K" + Little(value, 1);
  return std::string("\x8a\x08", 2) + Little(value, 8);
}
std::string Tuple(const std::vector<int64_t>& numbers) {
  std::string text = "(";
  for (const int64_t number : numbers) text += Number(number);
  return text + "t";
}
std::string StorageOf(int64_t items, const std::string& key = "0", const std::string& type = "FloatStorage") {
  return "(" + Text("storage") + "ctorch\n" + type + "\n" + Text(key) + Text("cpu") + Number(items) + "tQ";
}
std::string OneTensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes,
                      const std::vector<int64_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + Number(offset) + Tuple(sizes) + Tuple(strides) +
         "\x89" + "ccollections\nOrderedDict\n)R" + "tR";
}
std::string Dict(const std::string& entries) { return "\x80\x02}(" + entries + "u."; }
std::string DictOf(const std::string& value) { return Dict(Text("w") + value); }

std::string PickleFailure(const std::string& bytes) {
  return FailureOf([&] { ReadStateDictPickle("f.bin", bytes); });
}
std::string PlaceFailure(int64_t items, int64_t offset, const std::vector<int64_t>& sizes,
                         const std::vector<int64_t>& strides) {
  return PickleFailure(DictOf(OneTensor(StorageOf(items), offset, sizes, strides)));
}

TEST(StateDictPickleTest, ReadsPlacesOfTensors) {
  const auto tensors = ReadStateDictPickle(
      "f.bin", Dict(Text("a") + OneTensor(StorageOf(10, "7"), 4, {2, 3}, {1, 2}) + Text("b") +
                    OneTensor(StorageOf(3000, "8", "HalfStorage"), 0, {}, {})));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].storage, "7");
  EXPECT_EQ(tensors[0].storage_items, 10);
  EXPECT_EQ(tensors[0].offset, 4);
  EXPECT_THAT(tensors[0].sizes, ElementsAre(2, 3));
  EXPECT_THAT(tensors[0].strides, ElementsAre(1, 2));
  EXPECT_EQ(tensors[1].type, DataType::kF16);
  EXPECT_EQ(tensors[1].storage_items, 3000);
}

TEST(StateDictPickleTest, OtherGlobalsAreNamedAndNotRun) {
  for (const char* global :
       {"os\nsystem", "posix\nsystem", "builtins\neval", "torch\nload", "torch\nFloatStorage2",
        "torch._utils\n_rebuild_tensor_v22", "numpy.core.multiarray\n_reconstruct"}) {
    std::string shown = global;
    shown.replace(shown.find('\n'), 1, ".");
    EXPECT_THAT(PickleFailure(std::string("\x80\x02") + "c" + global + "\n" + Text("touch x") + "\x85R."),
                AllOf(HasSubstr("'" + shown + "'"), HasSubstr("nothing of it was run")))
        << global;
  }
  // Other ways to a function: INST, OBJ, NEWOBJ, EXT1, STACK_GLOBAL, REDUCE of what is no function.
  for (const char* instruction : {"i", "o", "\x81", "\x82", "\x93", "I", "S", "U", "P"})
    EXPECT_THAT(PickleFailure(std::string("\x80\x02(") + instruction + "os\nsystem\n."),
                HasSubstr("instruction that a state dict does not need"))
        << instruction;
  EXPECT_THAT(PickleFailure("\x80\x02" + Text("os.system") + ")R."), HasSubstr("what is no function"));
  EXPECT_THAT(PickleFailure("\x80\x02"
                            "ctorch\nFloatStorage\n" +
                            Number(5) + "\x85R."),
              HasSubstr("arguments"));
  EXPECT_THAT(PickleFailure("\x80\x02"
                            "ccollections\nOrderedDict\n" +
                            Number(5) + "\x85R."),
              HasSubstr("arguments"));
}

TEST(StateDictPickleTest, TensorsStayInsideTheirStorage) {
  EXPECT_EQ(PlaceFailure(6, 0, {2, 3}, {3, 1}), "no error");
  EXPECT_EQ(PlaceFailure(6, 5, {1}, {1}), "no error");
  EXPECT_EQ(PlaceFailure(6, 0, {0, 3}, {3, 1}), "no error");
  constexpr int64_t kBig = int64_t{1} << 62, kMost = INT64_MAX;
  const std::vector<std::tuple<int64_t, int64_t, std::vector<int64_t>, std::vector<int64_t>>> outside = {
      {6, 1, {2, 3}, {3, 1}},    {6, 6, {1}, {1}},
      {6, 0, {2, 3}, {4, 1}},    {0, 0, {1}, {1}},
      {6, 0, {2, 3}, {1}},       {6, 0, {7}, {0}},
      {6, 7, {0}, {1}},          {kMost, 1, {kMost}, {1}},
      {6, 0, {kBig, 4}, {1, 1}}, {6, 0, {2}, {kMost}},
      {kMost, 5, {2}, {kMost}},  {6, 0, {0, kBig}, {1, 1}},
      {6, 0, {0, 2}, {1, kBig}}, {6, 0, {kMost, kMost, 0}, {1, 1, 1}}};
  for (const auto& [items, offset, sizes, strides] : outside)
    EXPECT_THAT(PlaceFailure(items, offset, sizes, strides), HasSubstr("outside its storage"))
        << items << " " << offset << " " << ::testing::PrintToString(sizes);
  EXPECT_THAT(PlaceFailure(6, 0, {-2}, {1}), HasSubstr("natural numbers"));
  EXPECT_THAT(PlaceFailure(6, 0, {2}, {-1}), HasSubstr("natural numbers"));
  EXPECT_THAT(PlaceFailure(6, -1, {2}, {1}), HasSubstr("outside its storage"));
  EXPECT_THAT(PlaceFailure(-6, 0, {2}, {1}), HasSubstr("storage is not described"));
  EXPECT_THAT(PlaceFailure(6, 0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)),
              HasSubstr("64 dimensions"));
}

TEST(StateDictPickleTest, OnlyTensorsUnderDifferentNames) {
  const std::string tensor = OneTensor(StorageOf(6), 0, {6}, {1});
  EXPECT_THAT(PickleFailure(DictOf(Number(3))), AllOf(HasSubstr("under 'w'"), HasSubstr("a number")));
  EXPECT_THAT(PickleFailure(DictOf("}" + std::string("(") + Text("x") + tensor + "u")),
              AllOf(HasSubstr("under 'w'"), HasSubstr("a dict"), HasSubstr("model.state_dict()")));
  EXPECT_THAT(PickleFailure(Dict(Text("w") + tensor + Text("w") + tensor)), HasSubstr("a name twice"));
  EXPECT_THAT(PickleFailure(Dict(Number(1) + tensor)), HasSubstr("a name is not a string"));
  EXPECT_THAT(PickleFailure("\x80\x02]."), HasSubstr("holds no state dict"));
}

TEST(StateDictPickleTest, BrokenPrograms) {
  const std::string good = DictOf(OneTensor(StorageOf(6), 0, {6}, {1}));
  EXPECT_EQ(PickleFailure(good), "no error");
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_NE(PickleFailure(good.substr(0, length)), "no error") << length;
  for (const char* program : {".",       "s.",
                              "}s.",     "}NNNa.",
                              "(.",      "u.",
                              "}u.",     "}(Nu.",
                              "a.",      "t.",
                              "\x87.",   "h\x05.",
                              "}q\x01.", "}b.",
                              "N}b.",    "}]b.",
                              "Q.",      ")Q.",
                              "R.",      "}R.",
                              "q",       "j\x01\x02\x03\x7f."})
    EXPECT_NE(PickleFailure(std::string("\x80\x02") + program), "no error") << program;
  EXPECT_THAT(PickleFailure("\x80\x04}."), HasSubstr("pickle protocol 4"));
  EXPECT_THAT(PickleFailure("\x80\x02}X" + Little(0xffffffff, 4) + "."), HasSubstr("the end is missing"));
  EXPECT_THAT(PickleFailure("\x80\x02}\x8a\xff" + std::string(300, '\1') + "."),
              HasSubstr("more than 8 bytes"));
  EXPECT_THAT(PickleFailure(std::string(5'000'000, 'N')), HasSubstr("too long"));
}

// Parts that hold themselves, and a chain as deep as a file can say: nothing recurses, nothing leaks.
TEST(StateDictPickleTest, CyclesAndDepth) {
  EXPECT_THAT(PickleFailure(std::string("\x80\x02]q\x00h\x00"
                                        "a.",
                                        9)),
              HasSubstr("no state dict"));
  EXPECT_THAT(PickleFailure(std::string("\x80\x02}q\x00", 5) + Text("w") + std::string("h\x00s.", 4)),
              HasSubstr("a dict"));
  std::string deep = "\x80\x02)";
  deep.append(1'000'000, '\x85');
  EXPECT_THAT(PickleFailure(deep + "."), HasSubstr("no state dict"));
}

// --- Archives ---

class TorchArchiveTest : public ::testing::Test {
 protected:
  ~TorchArchiveTest() override { std::filesystem::remove(path_); }

  std::string Failure(const std::vector<std::pair<std::string, std::string>>& entries,
                      bool compress = false) {
    std::filesystem::remove(path_);
    zip_t* zip = zip_open(path_.c_str(), ZIP_CREATE, nullptr);
    for (const auto& [name, content] : entries) {
      zip_source_t* source = zip_source_buffer(zip, content.data(), content.size(), 0);
      const auto index = zip_file_add(zip, name.c_str(), source, 0);
      zip_set_file_compression(zip, index, compress ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
    }
    EXPECT_EQ(zip_close(zip), 0);
    const std::string bytes = ReadFile(path_);
    return FailureOf([&] {
      const TorchArchive archive("f.bin", bytes);
      for (const auto& tensor : archive.tensors()) read_ = archive.ReadStorage(tensor);
    });
  }

  const std::string path_ = ::testing::TempDir() + "/thimble_archive.bin";
  const std::string pickle_ = DictOf(OneTensor(StorageOf(6), 0, {6}, {1}));
  const std::string numbers_ = "abcdefghijklmnopqrstuvwx";
  std::string read_;
};

TEST_F(TorchArchiveTest, ReadsStorages) {
  EXPECT_EQ(Failure({{"any/data.pkl", pickle_}, {"any/data/0", numbers_}, {"any/byteorder", "little"}}),
            "no error");
  EXPECT_EQ(read_, numbers_);
}

TEST_F(TorchArchiveTest, Refuses) {
  EXPECT_THAT(Failure({{"any/data.pkl", pickle_}}), AllOf(HasSubstr("any/data/0"), HasSubstr("missing")));
  EXPECT_THAT(Failure({{"other/data/0", numbers_}}), HasSubstr("without data.pkl"));
  EXPECT_THAT(Failure({{"data.pkl", pickle_}, {"data/0", numbers_}}), HasSubstr("without data.pkl"));
  EXPECT_THAT(Failure({{"any/data.pkl", pickle_}, {"any/data/0", numbers_ + "more"}}),
              HasSubstr("another size"));
  EXPECT_THAT(Failure({{"any/data.pkl", pickle_}, {"any/data/0", numbers_}, {"any/byteorder", "big"}}),
              HasSubstr("'big'"));
  EXPECT_THAT(Failure({{"any/data.pkl", pickle_}, {"any/data/0", std::string(1'000'000, '\0')}}, true),
              HasSubstr("compressed or encrypted"));
  EXPECT_THAT(FailureOf([&] { TorchArchive("f.bin", "PK\3\4 and more"); }), HasSubstr("not a zip file"));
}

// Names are cheap, numbers are not: 1,000 tensors over one storage.
TEST_F(TorchArchiveTest, ManyTensorsOverOneStorage) {
  const std::string numbers(400'000, '\1');
  const auto pickle = [](int count) {
    std::string entries;
    for (int i = 0; i < count; ++i)
      entries += Text("w" + std::to_string(i)) + OneTensor(StorageOf(100'000), 0, {100'000}, {1});
    return Dict(entries);
  };
  EXPECT_EQ(Failure({{"any/data.pkl", pickle(2)}, {"any/data/0", numbers}}), "no error");
  EXPECT_THAT(Failure({{"any/data.pkl", pickle(1000)}, {"any/data/0", numbers}}),
              HasSubstr("larger than the file"));
}

// --- JSON ---

TEST(WeightIndexTest, NamesFilesOfTheDirectory) {
  const auto index = ParseWeightIndex("i.json", R"({"metadata":{},"weight_map":{"a":"x.bin","b":"y.bin"}})");
  EXPECT_EQ(index, (WeightIndex{{"a", "x.bin"}, {"b", "y.bin"}}));
  const auto failure = [](const std::string& text) {
    return FailureOf([&] { ParseWeightIndex("i.json", text); });
  };
  for (const char* text : {"{}", "[]", R"({"weight_map":{}})", R"({"weight_map":[]})", R"({"weight_map":3})"})
    EXPECT_THAT(failure(text), HasSubstr("'weight_map' is missing or empty")) << text;
  for (const char* file : {R"("")", R"("..")", R"(".")", R"("/etc/x")", R"("../x")", R"("a/b")", R"("a\\b")",
                           R"("a\u0000b")", "3", "null"})
    EXPECT_THAT(failure(std::string(R"({"weight_map":{"a":)") + file + "}}"), HasSubstr("no file for 'a'"))
        << file;
}

TEST(HubConfigTest, FamiliesAndTheirKeys) {
  const HubConfig distilbert("c.json",
                             R"({"model_type":"distilbert","vocab_size":9,"dim":8,"n_layers":3,"n_heads":2,)"
                             R"("hidden_dim":16,"activation":"relu","intermediate_size":99})");
  const auto architecture = distilbert.Architecture();
  EXPECT_EQ(architecture.hidden(), 8);
  EXPECT_EQ(architecture.layer_size(), 3);
  EXPECT_EQ(architecture.ffn_hidden(), 16);
  EXPECT_EQ(architecture.positions(), 512);
  EXPECT_EQ(architecture.segments(), 2);
  EXPECT_EQ(architecture.layer(0).ffn().expression(), "linear(relu(linear(x,wb1)),wb2)");
  EXPECT_EQ(distilbert.FileSegments(), 0);
  const auto roberta = [](const std::string& rest) {
    return HubConfig("c.json",
                     R"({"model_type":"roberta","vocab_size":9,"hidden_size":8,"num_hidden_layers":1,)"
                     R"("num_attention_heads":2,"intermediate_size":16,)" +
                         rest + "}");
  };
  EXPECT_EQ(roberta(R"("max_position_embeddings":514)").Architecture().positions(), 512);
  EXPECT_EQ(roberta(R"("max_position_embeddings":514,"pad_token_id":0)").Architecture().positions(), 513);
  EXPECT_THAT(FailureOf([&] { roberta(R"("max_position_embeddings":2)").Architecture(); }),
              HasSubstr("no position behind"));
  EXPECT_THAT(FailureOf([&] { roberta(R"("pad_token_id":-1)").Architecture(); }),
              HasSubstr("'pad_token_id'"));
  EXPECT_THAT(FailureOf([&] {
                HubConfig("c.json", R"({"model_type":"distilbert","dim":8,"vocab_size":9})").Architecture();
              }),
              HasSubstr("'n_layers' is missing"));
}

}  // namespace
}  // namespace thimble::models
