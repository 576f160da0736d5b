#include "train/teacher_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "models/encoder/resolve.h"
#include "train/batch.h"
#include "train/precision.h"

namespace thimble::train {
namespace {

namespace fs = std::filesystem;

constexpr int kBatch = 32;
constexpr double kGiB = 1 << 30;
constexpr double kLargestHalf = 65504;
constexpr char kFormat[] = "teacher cache 1";

template <typename Projections>
auto Parts(Projections& projections) {
  return std::array{&projections.query, &projections.key, &projections.value};
}

void Reserve(PendingFile* file, int64_t bytes) try {
  file->Reserve(static_cast<uint64_t>(bytes));
} catch (const Error& error) {
  throw Error(std::string(error.what()) + "; recipe.teacher_cache_gib: 0 works without the teacher's outputs",
              error.code());
}

// Whether all layers have as many heads, of one width: a file's rows are laid out for that.
bool AlikeLayers(const models::ResolvedArchitecture& shape) {
  return std::all_of(shape.layers.begin(), shape.layers.end(), [&](const models::LayerShape& layer) {
    const models::MixerSize size = models::SizeOf(shape, layer.mixer);
    return size.heads == shape.heads && size.context == shape.block_width();
  });
}

}  // namespace

int64_t TeacherCache::Layout::Numbers(int64_t tokens) const {
  const auto states = static_cast<int64_t>(hidden_states.size()),
             maps = static_cast<int64_t>(attention_logits.size());
  const auto of_mixers = static_cast<int64_t>(3 * projections.size() + mixer_states.size());
  return (states * width + of_mixers * projected) * tokens + maps * heads * tokens * tokens +
         2 * (on_tokens ? tokens * classes : classes);
}

std::vector<int64_t> TeacherCache::Layout::Logits(int64_t tokens) const {
  return on_tokens ? std::vector<int64_t>{tokens, classes} : std::vector<int64_t>{classes};
}

TeacherCache::TeacherCache(const models::Model& teacher, const distill::Objective& objective,
                           const data::Dataset& data)
    : layout_{.width = teacher.shape.hidden,
              .heads = teacher.shape.heads,
              .classes = teacher.classes,
              .layers = static_cast<int64_t>(teacher.shape.layers.size()),
              .projected = teacher.shape.block_width(),
              .on_tokens = teacher.classes > 0 && teacher.head == models::TaskHead::kTokens} {
  const std::set<int> layers(objective.layer_map().begin(), objective.layer_map().end());  // from 1
  if (objective.needs_hidden()) {
    layout_.hidden_states.push_back(0);
    layout_.hidden_states.insert(layout_.hidden_states.end(), layers.begin(), layers.end());
  }
  if (objective.needs_scores())
    for (const int layer : layers) layout_.attention_logits.push_back(layer - 1);
  layout_.projections = objective.projection_layers();
  if (objective.needs_mixers())
    for (const int layer : layers) layout_.mixer_states.push_back(layer - 1);
  starts_.push_back(0);
  for (const auto& example : data.examples) {
    tokens_.push_back(static_cast<int64_t>(example.ids.size()));
    starts_.push_back(starts_.back() + layout_.Numbers(tokens_.back()));
  }
}

std::unique_ptr<TeacherCache> TeacherCache::Open(const proto::Recipe& recipe, const models::Model& teacher,
                                                 const models::ResolvedArchitecture& student,
                                                 const data::Dataset& data, int passes,
                                                 const std::string& directory, int64_t* room) {
  const distill::Objective objective(recipe.objective(), student, &teacher, data.classes > 0);
  if (!objective.needs_teacher() || passes < 2 || PaddedLength(recipe) > 0) return nullptr;
  if ((objective.needs_scores() || objective.needs_projections()) && !AlikeLayers(teacher.shape))
    return nullptr;
  std::unique_ptr<TeacherCache> cache(new TeacherCache(teacher, objective, data));
  const int64_t bytes = 2 * cache->starts_.back();
  if (bytes > (room != nullptr ? *room : Room(recipe))) return nullptr;
  if (room != nullptr) *room -= bytes;

  const bool bfloat16 = recipe.precision() == proto::BFLOAT16;
  std::string key = std::string(kFormat) + (bfloat16 ? " bfloat16 " : " float32 ") + data.hash + " " +
                    teacher.weights.Hash();
  for (const int layer : cache->layout_.hidden_states) key += " h" + std::to_string(layer);
  for (const int layer : cache->layout_.attention_logits) key += " s" + std::to_string(layer);
  for (const int layer : cache->layout_.projections) key += " p" + std::to_string(layer);
  for (const int layer : cache->layout_.mixer_states) key += " m" + std::to_string(layer);
  for (const int64_t tokens : cache->tokens_) key += " " + std::to_string(tokens);
  const std::string path = directory + "/teacher-" + HashHex(key).substr(0, 16);
  const std::string half = path + ".cache", wide = path + ".bfloat16.cache";
  auto type = fs::exists(wide) ? at::kBFloat16 : at::kHalf;
  if (type == at::kHalf && !fs::exists(half) && !cache->Make(teacher, data, bfloat16, type, half)) {
    type = at::kBFloat16;
    cache->Make(teacher, data, bfloat16, type, wide);
  }
  cache->path_ = type == at::kHalf ? half : wide;
  const auto found = static_cast<int64_t>(fs::file_size(cache->path_));
  if (found != bytes)
    throw BadRequest(cache->path_, "a damaged cache of teacher outputs; remove it",
                     std::to_string(found) + " bytes", std::to_string(bytes));
  cache->Map(cache->path_, type, false);
  return cache;
}

int64_t TeacherCache::Room(const proto::Recipe& recipe) {
  return static_cast<int64_t>(recipe.teacher_cache_gib() * kGiB);
}

void TeacherCache::Map(const std::string& path, at::ScalarType type, bool writable) {
  numbers_ = at::from_file(path, /*shared=*/writable, starts_.back(), at::TensorOptions(type));
}

bool TeacherCache::Make(const models::Model& teacher, const data::Dataset& data, bool bfloat16,
                        at::ScalarType type, const std::string& path) {
  CheckFits(teacher, data, "the teacher");
  const EnsuredDirectory directory(fs::path(path).parent_path().string());
  PendingFile file(path);
  Reserve(&file, 2 * starts_.back());
  Map(file.working(), type, true);
  bool held = true;
  const at::NoGradGuard no_grad;
  const Autocast autocast(bfloat16);
  {
    Progress progress("the teacher's outputs (examples)", static_cast<int64_t>(tokens_.size()));
    int64_t done = 0;
    for (const auto& rows : data::PlanEvaluation(data, kBatch)) {
      if (InterruptRequested()) throw Interrupted();
      const models::ForwardOptions asked{.hidden_states = !layout_.hidden_states.empty(),
                                         .attention_logits = !layout_.attention_logits.empty(),
                                         .projections = !layout_.projections.empty(),
                                         .mixer_states = !layout_.mixer_states.empty()};
      const auto outputs = Forward(teacher, MakeBatch(data, rows), ForLogits(teacher, asked));
      for (size_t b = 0; b < rows.size(); ++b) {
        const auto row = static_cast<int64_t>(b), t = tokens_[rows[b]];
        int64_t at = starts_[rows[b]];
        const auto put = [&](const at::Tensor& value) {
          if (type == at::kHalf) held = held && value.abs().max().item<double>() <= kLargestHalf;
          numbers_.narrow(0, at, value.numel()).view(value.sizes()).copy_(value);
          at += value.numel();
        };
        for (const int layer : layout_.hidden_states) put(outputs.hidden_states[layer][row].narrow(0, 0, t));
        for (const int layer : layout_.attention_logits)
          put(outputs.attention_logits[layer][row].narrow(1, 0, t).narrow(2, 0, t));
        for (const int layer : layout_.projections)
          for (const auto* part : Parts(outputs.projections[layer])) put((*part)[row].narrow(0, 0, t));
        for (const int layer : layout_.mixer_states) put(outputs.mixer_states[layer][row].narrow(0, 0, t));
        if (layout_.classes == 0) continue;
        at::Tensor logits = outputs.logits[row].to(at::kFloat);
        if (layout_.on_tokens) logits = logits.narrow(0, 0, t);
        const at::Tensor rounded = logits.to(type);
        put(rounded);
        put(logits - rounded.to(at::kFloat));  // what rounding lost
      }
      if (!held) break;
      progress.Update(done += static_cast<int64_t>(rows.size()));
    }
  }
  numbers_.reset();
  if (held) file.Commit();
  return held;
}

models::Outputs TeacherCache::Get(const std::vector<int>& rows) const {
  const at::NoGradGuard no_grad;
  const auto size = static_cast<int64_t>(rows.size());
  int64_t longest = 0;
  for (const int row : rows) longest = std::max(longest, tokens_[row]);
  models::Outputs outputs;
  const auto layers = static_cast<size_t>(layout_.layers);
  if (!layout_.hidden_states.empty()) outputs.hidden_states.resize(layers + 1);
  if (!layout_.attention_logits.empty()) outputs.attention_logits.resize(layers);
  if (!layout_.projections.empty()) outputs.projections.resize(layers);
  for (const int layer : layout_.hidden_states)
    outputs.hidden_states[layer] = at::zeros({size, longest, layout_.width});
  for (const int layer : layout_.attention_logits)
    outputs.attention_logits[layer] = at::zeros({size, layout_.heads, longest, longest});
  for (const int layer : layout_.projections)
    for (auto* part : Parts(outputs.projections[layer]))
      *part = at::zeros({size, longest, layout_.projected});
  if (!layout_.mixer_states.empty()) outputs.mixer_states.resize(layers);
  for (const int layer : layout_.mixer_states)
    outputs.mixer_states[layer] = at::zeros({size, longest, layout_.projected});
  if (layout_.classes > 0) {
    auto sizes = layout_.Logits(longest);
    sizes.insert(sizes.begin(), size);
    outputs.logits = at::zeros(sizes);
  }
  for (int64_t b = 0; b < size; ++b) {
    const int64_t t = tokens_[rows[b]];
    int64_t at = starts_[rows[b]];
    const auto take = [&](at::IntArrayRef sizes) {
      const int64_t count = c10::multiply_integers(sizes);
      at += count;
      return numbers_.narrow(0, at - count, count).view(sizes);
    };
    for (const int layer : layout_.hidden_states)
      outputs.hidden_states[layer][b].narrow(0, 0, t).copy_(take({t, layout_.width}));
    for (const int layer : layout_.attention_logits)
      outputs.attention_logits[layer][b].narrow(1, 0, t).narrow(2, 0, t).copy_(take({layout_.heads, t, t}));
    for (const int layer : layout_.projections)
      for (auto* part : Parts(outputs.projections[layer]))
        (*part)[b].narrow(0, 0, t).copy_(take({t, layout_.projected}));
    for (const int layer : layout_.mixer_states)
      outputs.mixer_states[layer][b].narrow(0, 0, t).copy_(take({t, layout_.projected}));
    if (layout_.classes == 0) continue;
    at::Tensor logits = outputs.logits[b];
    if (layout_.on_tokens) logits = logits.narrow(0, 0, t);
    const auto sizes = layout_.Logits(t);
    logits.copy_(take(sizes));
    logits += take(sizes).to(at::kFloat);
  }
  return outputs;
}

}  // namespace thimble::train
