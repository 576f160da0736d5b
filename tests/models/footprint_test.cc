// Formulas of models/encoder/cost.h for files and activations, beside files that are written and bytes that
// LibTorch holds.
#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <mutex>

#include "models/encoder/cost.h"
#include "models/hub/pretrained.h"
#include "models/onnx/onnx.h"
#include "tests/models/fixtures.h"

namespace thimble::models {
namespace {

namespace fs = std::filesystem;

// Stands before LibTorch's allocator, from the first use on, and counts what is held.
class CountingAllocator final : public c10::Allocator {
 public:
  static CountingAllocator& Get() {
    static auto* installed = new CountingAllocator;  // outlives all tensors
    return *installed;
  }

  c10::DataPtr allocate(size_t bytes) override {
    void* start = inner_->raw_allocate(bytes);
    const std::lock_guard<std::mutex> lock(mutex_);
    sizes_[start] = static_cast<int64_t>(bytes);
    held_ += static_cast<int64_t>(bytes);
    most_ = std::max(most_, held_);
    return {start, start, &Free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

  // Since the last Restart.
  int64_t held() const { return held_ - before_; }
  int64_t most() const { return most_ - before_; }
  void Restart() { before_ = most_ = held_; }

 private:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) {
    constexpr uint8_t kPriority = 200;
    c10::SetCPUAllocator(this, kPriority);
  }
  static void Free(void* start) {
    CountingAllocator& all = Get();
    {
      const std::lock_guard<std::mutex> lock(all.mutex_);
      const auto found = all.sizes_.find(start);
      if (found != all.sizes_.end()) {
        all.held_ -= found->second;
        all.sizes_.erase(found);
      }
    }
    all.inner_->raw_deallocate(start);
  }

  c10::Allocator* inner_;
  std::mutex mutex_;
  std::map<void*, int64_t> sizes_;
  int64_t held_ = 0, most_ = 0, before_ = 0;
};

std::vector<std::string> Architectures() {
  const std::string sizes = "vocabulary: 100 positions: 128 heads: 4 ";
  const std::string bert = "linear(gelu_erf(linear(x,wb1)),wb2)";
  const std::string searched = LayerText("tanh(linear(gelu(linear(x,wb1)),wb2))", 3, "1/2") +
                               LayerText("linear(relu(mul(linear(x,wb1),x)),wb2)", 1, "1/3") +
                               LayerText("leaky_relu(linear(swish(linear(max(x,tanh(x)),wb1)),wb2))", 2);
  return {sizes + "hidden: 64 ffn_hidden: 256 embedding { plain {} }" + LayerText(bert) + LayerText(bert),
          sizes + "hidden: 96 embedding { trigram { width: 32 } }" + searched,
          sizes + "hidden: 64 ffn_hidden: 256 embedding { factorised { width: 32 } }" + LayerText(bert),
          sizes +
              "hidden: 96 ffn_hidden: 96 embedding { trigram { width: 16 } } norm: NO_NORM "
              "bottleneck { width: 48 share_query_key: true }" +
              LayerText("linear(relu(linear(x,wb1)),wb2)", 4) +
              LayerText("linear(elu(linear(x,wb1)),wb2)", 4),
          sizes + "hidden: 96 embedding { plain {} } bottleneck { width: 48 }" + searched};
}

TEST(FootprintTest, TrainingKeepsWhatTheFormulaSays) {
  for (const std::string& text : Architectures()) {
    Model model = ShakenModel(text);
    model.weights.RequireGrad(true);
    for (const auto& [rows, length] : {std::pair{6, 32}, {2, 96}}) {
      const Batch batch = MakeBatch(std::vector<int>(rows, length), 1, length, 100);
      CountingAllocator& allocator = CountingAllocator::Get();
      allocator.Restart();
      Random random(1);
      ForwardOptions options;
      options.dropout = {0.1, &random};
      const Outputs outputs = Forward(model, batch, options);
      const auto formula = static_cast<double>(TrainingBytes(model.shape, rows, length));
      EXPECT_NEAR(static_cast<double>(allocator.held()) / formula, 1, 0.02)
          << text << " " << rows << " x " << length;
    }
  }
}

TEST(FootprintTest, InferenceHoldsAtMostWhatTheFormulaSays) {
  const c10::InferenceMode inference;
  for (const std::string& text : Architectures()) {
    const Model model = ShakenModel(text);
    const Batch batch = MakeBatch(std::vector<int>(16, 128), 1, 128, 100);
    CountingAllocator& allocator = CountingAllocator::Get();
    allocator.Restart();
    Forward(model, batch);
    const auto all = static_cast<double>(InferenceBytes(model.shape, 16, 128, TaskHead::kTokens));
    EXPECT_NEAR(static_cast<double>(allocator.most()) / all, 1, 0.03) << text;
    allocator.Restart();
    Forward(model, batch, ForLogits(model));
    const auto pooled = static_cast<double>(InferenceBytes(model.shape, 16, 128));
    EXPECT_NEAR(static_cast<double>(allocator.most()) / pooled, 1, 0.03) << text;
  }
}

TEST(FootprintTest, FilesAreAsLongAsTheFormulasSay) {
  const std::string directory = ::testing::TempDir() + "/thimble_footprint";
  const std::string shapes[] = {
      "vocabulary: 9000 hidden: 120 heads: 4 embedding { plain {} }" +
          LayerText("linear(gelu_erf(linear(x,wb1)),wb2)") + LayerText("linear(gelu_erf(linear(x,wb1)),wb2)"),
      "vocabulary: 8000 hidden: 132 heads: 12 embedding { trigram {} }" +
          LayerText("tanh(linear(gelu(linear(x,wb1)),wb2))", 4, "1/2") +
          LayerText("linear(relu(mul(linear(x,wb1),x)),wb2)", 1, "1/3"),
      "vocabulary: 8000 hidden: 256 heads: 4 embedding { trigram {} } norm: NO_NORM "
      "bottleneck { width: 64 share_query_key: true }" +
          LayerText("linear(relu(linear(x,wb1)),wb2)", 4) + LayerText("linear(relu(linear(x,wb1)),wb2)", 4)};
  const Batch row = MakeBatch({16});
  for (const std::string& text : shapes) {
    for (const int classes : {0, 3}) {
      fs::remove_all(directory);
      fs::create_directories(directory);
      const Model model = MakeModel(Architecture(text), classes, 0, Random(1));
      SavePretrained(model,
                     classes > 0 ? std::vector<std::string>{"a", "b", "c"} : std::vector<std::string>{},
                     directory);
      WriteOnnx(model, directory + "/model.onnx");
      WriteOnnx(model, directory + "/model.int8.onnx", {.weights = OnnxWeights::kInt8, .typical = {row}});
      const FileBytes bytes = WrittenBytes(model.shape, classes);
      const auto expect = [&](const std::string& file, int64_t formula) {
        const auto written = static_cast<double>(fs::file_size(directory + "/" + file));
        EXPECT_NEAR(static_cast<double>(formula) / written, 1, 0.01) << file << " of " << text;
        EXPECT_GT(written, 1e6);
      };
      expect("model.safetensors", bytes.safetensors);
      expect("model.onnx", bytes.onnx);
      expect("model.int8.onnx", bytes.onnx_int8);
    }
  }
  fs::remove_all(directory);
}

}  // namespace
}  // namespace thimble::models
