#include "models/arch/architecture.h"

#include <charconv>
#include <cstdio>
#include <unordered_map>
#include <utility>

#include "base/config.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

std::string RatioText(int divisor) { return divisor == 1 ? "1" : "1/" + std::to_string(divisor); }

// A search asks for the same few expressions again and again, in architectures that differ elsewhere.
const std::string& CanonicalExpression(const std::string& text) {
  constexpr size_t kMost = 1 << 14;
  thread_local std::unordered_map<std::string, std::string> known;
  const auto found = known.find(text);
  if (found != known.end()) return found->second;
  std::string canonical = Expression::Parse(text).Canonical();
  if (known.size() >= kMost) known.clear();
  return known[text] = std::move(canonical);
}

}  // namespace

proto::Architecture LikeTeacher(const ResolvedArchitecture& teacher) {
  proto::Architecture student;
  student.set_vocabulary(teacher.vocabulary);
  student.set_positions(teacher.positions);
  student.set_segments(teacher.segments);
  if (!teacher.position_table) student.set_position_table(false);
  student.set_heads(teacher.heads);
  student.set_pooler(teacher.pooler);
  student.set_layer_norm_epsilon(teacher.layer_norm_epsilon);
  return student;
}

int RatioWidth(const std::string& ratio, int ffn_hidden, const std::string& where) {
  int divisor = ratio == "1" ? 1 : 0;
  if (ratio.rfind("1/", 0) == 0) {
    const auto [end, error] = std::from_chars(ratio.data() + 2, ratio.data() + ratio.size(), divisor);
    if (error != std::errc() || end != ratio.data() + ratio.size() || divisor < 2 ||
        RatioText(divisor) != ratio)
      divisor = 0;
  }
  if (divisor == 0)
    throw BadRequest(where, "a ratio is \"1\" or \"1/N\" with a whole N from 2", "\"" + ratio + "\"",
                     "\"1\", \"1/2\", \"1/3\", ...");
  const int width = ffn_hidden / divisor;
  if (width == 0)
    throw BadRequest(where, "ratio " + ratio + " of an FFN width of " + std::to_string(ffn_hidden) + " is 0",
                     ratio, "a larger ratio");
  return width;
}

int InnerWidth(const proto::FeedForward& ffn, int ffn_hidden, const std::string& where) {
  if (ffn.has_none() && ffn.width() > 0)
    throw BadRequest(where + ".width", "there is no block to be so wide", std::to_string(ffn.width()),
                     "none {} alone");
  if (ffn.has_none()) return 0;
  if (ffn.width() == 0) return RatioWidth(ffn.ratio(), ffn_hidden, where + ".ratio");
  if (ffn.has_ratio())
    throw BadRequest(where + ".width", "the inner width is given twice",
                     std::to_string(ffn.width()) + ", and ratio " + ffn.ratio(), "width or ratio");
  return ffn.width();
}

bool IsDense(const proto::FeedForward& ffn) {
  return (ffn.has_expression() || ffn.kind_case() == proto::FeedForward::KIND_NOT_SET) && ffn.groups() == 1 &&
         !ffn.monarch() && ffn.experts_case() == proto::FeedForward::EXPERTS_NOT_SET;
}

bool SameForm(const proto::FeedForward& a, const proto::FeedForward& b) {
  if (IsDense(a) && IsDense(b)) return true;  // most are, and spaces ask often
  const auto text = [](proto::FeedForward ffn) {
    if (ffn.has_expression()) ffn.clear_expression();
    ffn.clear_stacks();
    ffn.clear_ratio();
    ffn.clear_width();
    return CanonicalText(ffn);
  };
  return text(a) == text(b);
}

std::string CanonicalArchitecture(const proto::Architecture& architecture) {
  proto::Architecture copy = architecture;
  const int hidden = copy.hidden();
  if (copy.ffn_hidden() == hidden) copy.clear_ffn_hidden();
  if (copy.pooler() == hidden) copy.clear_pooler();
  if (copy.norm() == proto::NO_NORM) copy.clear_layer_norm_epsilon();
  const int ffn_hidden = copy.ffn_hidden() > 0 ? copy.ffn_hidden() : hidden;
  for (auto& layer : *copy.mutable_layer()) {
    auto* ffn = layer.mutable_ffn();
    if (ffn->has_expression()) ffn->set_expression(CanonicalExpression(ffn->expression()));
    // A width that is a ratio's is that ratio; ratios that round down to one width are one: the largest of
    // them.
    const int width = InnerWidth(*ffn, ffn_hidden), divisor = ffn_hidden / (width + 1) + 1;
    ffn->clear_width();
    ffn->clear_ratio();
    if (width == 0) continue;
    if (ffn_hidden / divisor == width)
      ffn->set_ratio(RatioText(divisor));
    else
      ffn->set_width(width);
  }
  return CanonicalText(copy);
}

std::string ArchitectureHash(const proto::Architecture& architecture) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(Hash64(CanonicalArchitecture(architecture))));
  return digits;
}

}  // namespace thimble::models
