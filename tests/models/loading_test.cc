// What a file's weights, names and config.json lead to when they are not as they should be: wrapped names,
// numbers that are none, heads that are none of ours.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/finite.h"
#include "models/hub/pretrained.h"
#include "models/hub/safetensors.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string BertText() { return kPlain + LayerText("linear(gelu_erf(linear(x,wb1)),wb2)"); }

class LoadingTest : public ::testing::Test {
 protected:
  LoadingTest() : directory_(::testing::TempDir() + "/thimble_loading") {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    Save(3);
  }
  ~LoadingTest() override { fs::remove_all(directory_); }

  void Save(int classes, const std::string& text = BertText()) {
    model_ = ShakenModel(text, classes);
    std::vector<std::string> labels = {"a", "b", "c"};
    labels.resize(classes);
    SavePretrained(model_, labels, directory_);
  }
  std::string File() const { return directory_ + "/model.safetensors"; }
  void Rename(const std::function<std::string(const std::string&)>& rename) const {
    Weights renamed;
    for (const auto& [name, tensor] : ReadSafetensors(File()).tensors) renamed.Add(rename(name), tensor);
    WriteSafetensors(File(), renamed);
  }
  void Configure(const std::function<void(json&)>& change) const {
    json config = json::parse(ReadFile(directory_ + "/config.json"));
    change(config);
    WriteFileAtomically(directory_ + "/config.json", config.dump());
  }
  std::string Failure(ExitCode code) const {
    try {
      LoadPretrained(directory_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "no error";
  }
  void ExpectSame(const Pretrained& read) const {
    const Batch batch = MakeBatch({4, 9, 20});
    EXPECT_TRUE(at::equal(Forward(read.model, batch).logits, Forward(model_, batch).logits));
  }

  std::string directory_;
  Model model_;
};

TEST_F(LoadingTest, WrappedModels) {
  for (const std::string prefix : {"module.", "_orig_mod.", "module._orig_mod.", "model."}) {
    Save(3);
    Rename([&](const std::string& name) { return prefix + name; });
    const Pretrained read = LoadPretrained(directory_);
    ExpectSame(read);
    EXPECT_THAT(read.unused, IsEmpty());
    EXPECT_THAT(read.notes, ElementsAre(HasSubstr("left out"))) << prefix;
  }
  Save(3, kTrigram + LayerText(kGeluBlock, 2));  // names of our own
  Rename([](const std::string& name) { return "module." + name; });
  ExpectSame(LoadPretrained(directory_));
}

TEST_F(LoadingTest, WhatIsUnusedIsListedByItsNameInTheFile) {
  Rename([](const std::string& name) {
    return "module." + (name.starts_with("classifier") ? "cls.predictions" + name.substr(10) : name);
  });
  EXPECT_THAT(LoadPretrained(directory_).unused,
              ElementsAre("module.cls.predictions.bias", "module.cls.predictions.weight"));
}

TEST_F(LoadingTest, NamesThatDoNotFitTakeOneLine) {
  Save(3, kPlain + LayerText(kGeluBlock) + LayerText(kGeluBlock));
  Rename([](const std::string& name) { return name == "classifier.bias" ? name : "net." + name; });
  const std::string failure = Failure(kBadRequest);
  EXPECT_THAT(failure, AllOf(HasSubstr("lacks 37 of the 37 weights"), HasSubstr("and 32 more"),
                             HasSubstr("begin with 'net.', but 'classifier.bias' does not")));
  EXPECT_LT(failure.size(), 600u);
}

TEST_F(LoadingTest, BytesAreThoseOfTheFiles) {
  EXPECT_EQ(LoadPretrained(directory_).bytes, static_cast<int64_t>(fs::file_size(File())));
}

// Any of them, of either value, in any precision.
TEST_F(LoadingTest, WeightsThatAreNotFinite) {
  const Weights good = ReadSafetensors(File()).tensors;
  for (const double value : {kNaN, kInfinity, -kInfinity, 1e300}) {
    for (const auto& [name, tensor] : good) {
      Weights bad;
      for (const auto& [other, values] : good) {
        at::Tensor copy = values.clone();
        if (other == name) {
          copy = copy.to(value == 1e300 ? at::kDouble : at::kBFloat16);
          copy.view(-1)[copy.numel() - 1] = value;
        }
        bad.Add(other, copy);
      }
      WriteSafetensors(File(), bad);
      EXPECT_THAT(Failure(kFailed),
                  HasSubstr(File() + ", tensor '" + name + "': NaN or infinity in 1 of its "));
    }
  }
}

TEST_F(LoadingTest, WhatIsNotUsedMayBeAnything) {
  Weights more = ReadSafetensors(File()).tensors;
  more.Add("cls.predictions.bias", at::full({50}, kNaN));
  WriteSafetensors(File(), more);
  EXPECT_EQ(Failure(kFailed), "no error");
}

TEST_F(LoadingTest, EachLabelForItself) {
  Configure([](json& config) { config["problem_type"] = "multi_label_classification"; });
  const Pretrained read = LoadPretrained(directory_);
  EXPECT_TRUE(read.multi_label);
  EXPECT_EQ(read.model.classes, 3);
  ExpectSame(read);
  try {
    RequireHead(read, 3, "mnli");
    FAIL() << "mnli has one label a row";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("config.json"), HasSubstr("multi_label_classification")));
  }
  Pretrained replaced = read;
  AddHead(&replaced, 3, {"x", "y", "z"}, Random(1));
  EXPECT_NO_THROW(RequireHead(replaced, 3, "mnli"));
}

TEST_F(LoadingTest, HeadsThatAreNoneOfOurs) {
  const auto note = [&](const char* field, const json& value) {
    Configure([&](json& config) { config[field] = value; });
    const Pretrained read = LoadPretrained(directory_);
    EXPECT_EQ(read.model.classes, 0) << value;
    EXPECT_THAT(read.unused, ElementsAre("classifier.bias", "classifier.weight")) << value;
    EXPECT_TRUE(read.model.weights.Has("pooler.weight"));
    return read.notes.empty() ? "" : read.notes[0];
  };
  // Its file may hold a pooler, of the model that it was made from.
  EXPECT_THAT(note("architectures", {"BertForTokenClassification"}), HasSubstr("BertForTokenClassification"));
  EXPECT_THAT(note("architectures", {"BertForMultipleChoice"}), HasSubstr("BertForMultipleChoice"));
  Save(3);
  EXPECT_THAT(note("problem_type", "regression"), HasSubstr("regression, of 3 numbers"));
  Save(1);
  EXPECT_THAT(note("problem_type", "single_label_classification"), HasSubstr("with one class"));
}

TEST_F(LoadingTest, OneOutputIsANumberOrALabel) {
  Save(1);
  for (const json& value : {json("regression"), json(nullptr)}) {
    Configure([&](json& config) { config["problem_type"] = value; });
    EXPECT_EQ(LoadPretrained(directory_).model.classes, 1);
  }
  Configure([](json& config) { config["problem_type"] = "multi_label_classification"; });
  EXPECT_TRUE(LoadPretrained(directory_).multi_label);
}

TEST_F(LoadingTest, NumbersOfLabels) {
  Configure([](json& config) { config["num_labels"] = 2; });
  EXPECT_THAT(LoadPretrained(directory_).notes, ElementsAre(HasSubstr("'num_labels' is 2")));
  Configure([](json& config) { config.erase("id2label"); });
  EXPECT_THAT(Failure(kBadRequest),
              HasSubstr("'num_labels' is not the number of the head's outputs; got 2; accepted: 3"));
}

TEST_F(LoadingTest, OfAnotherClassTheHeadIsTakenWithAWord) {
  Configure([](json& config) { config["architectures"] = {"SentimentBert"}; });
  const Pretrained read = LoadPretrained(directory_);
  EXPECT_EQ(read.model.classes, 3);
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("SentimentBert")));
}

TEST(FiniteTest, RowsOfPaddingDoNotCount) {
  at::Tensor logits = at::zeros({2, 3, 2});
  const at::Tensor mask = at::tensor({1., 1., 0., 1., 1., 1.}).view({2, 3});
  EXPECT_FALSE(FirstNonFiniteRow(logits, mask).has_value());
  logits[0][2][1] = kNaN;
  EXPECT_FALSE(FirstNonFiniteRow(logits, mask).has_value());
  logits[1][2][0] = kInfinity;
  EXPECT_EQ(FirstNonFiniteRow(logits, mask), 1);
  EXPECT_EQ(FirstNonFiniteRow(at::tensor({0., kNaN}).view({2, 1}), mask), 1);
  EXPECT_TRUE(AllFinite(at::empty({0, 4})));
}

// Weights are finite, and what is computed from them is not.
TEST(FiniteTest, TheFirstLayerThatOverflowsIsNamed) {
  const Batch batch = MakeBatch({4, 9});
  const auto first = [&](const std::string& weight) {
    const Model model = ShakenModel(kPlain + LayerText(kGeluBlock) + LayerText(kGeluBlock));
    model.weights.at(weight).fill_(3e38);
    return FirstNonFinite(model, batch);
  };
  EXPECT_EQ(first("embedding.norm.weight"), "the embedding's output");
  EXPECT_EQ(first("layer.0.attention.norm.weight"), "the output of layer 0 of 2");
  EXPECT_EQ(first("layer.1.ffn.0.down.weight"), "the output of layer 1 of 2");
  EXPECT_EQ(first("head.weight"), "the head's output");
}

}  // namespace
}  // namespace thimble::models
