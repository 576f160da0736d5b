#include "tools/run/row_length.h"

#include <algorithm>

#include "base/log.h"
#include "proto/recipe.pb.h"

namespace thimble::tools {
namespace {

constexpr int kUsual = 128, kUsualWindow = 384;

std::string Tokens(int count) { return std::to_string(count) + " tokens"; }

}  // namespace

int TokenLimit(const data::TaskEntry& task, const models::ResolvedArchitecture& shape) {
  return std::min(task.kind == data::TaskKind::kSpan ? kUsualWindow : kUsual, shape.positions);
}

TrainingLength LengthLike(const models::Pretrained* trained, const data::TaskEntry& task,
                          const models::ResolvedArchitecture& shape) {
  const int usual = TokenLimit(task, shape);
  if (trained == nullptr || !trained->settings.max_length) return {.tokens = usual, .usual = true};
  const int tokens = std::min(*trained->settings.max_length, shape.positions);
  return {.tokens = tokens, .of = trained->directory, .usual = tokens == usual};
}

void TakeLength(const TrainingLength& length, proto::Recipe* recipe) {
  if (length.of.empty()) return;
  if (!recipe->batching().has_max_length()) recipe->mutable_batching()->set_max_length(length.tokens);
  SayLength(length, recipe->batching().max_length());
}

void SayLength(const TrainingLength& length, int tokens) {
  if (length.of.empty()) return;
  if (tokens != length.tokens) {
    Info("rows are read to " + Tokens(tokens) + "; " + length.of + " was trained with " +
         Tokens(length.tokens));
  } else if (!length.usual) {
    Info("rows are read to " + Tokens(tokens) + ", as " + length.of + " was trained with");
  }
}

int ScoringLength(const models::Pretrained& model, int asked) {
  const auto& trained = model.settings.max_length;
  const int positions = model.model.shape.positions, wanted = asked > 0 ? asked : trained.value_or(0);
  if (wanted > positions)
    Info(model.directory + ": rows are read to " + Tokens(positions) + ", as many as it has positions, not " +
         std::to_string(wanted));
  if (asked == 0) return models::ReadLength(model);
  const int length = std::min(asked, positions);
  if (trained && length != std::min(*trained, positions))
    Info(model.directory + ": rows are read to " + Tokens(length) + ", as asked; it was trained with " +
         Tokens(*trained));
  return length;
}

void SayUnknownLength(const models::Pretrained& model, const data::TaskEntry& task,
                      const data::Dataset& data) {
  if (model.settings.max_length || task.kind == data::TaskKind::kSpan) return;
  const auto longer = std::count_if(data.examples.begin(), data.examples.end(),
                                    [](const auto& example) { return example.ids.size() > kUsual; });
  if (longer > 0)
    Info(model.directory + ": its files do not say how many tokens it was trained with; " +
         std::to_string(longer) + " rows have more than " + std::to_string(kUsual) +
         " (--max-length cuts them)");
}

}  // namespace thimble::tools
