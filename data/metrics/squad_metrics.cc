#include "data/metrics/squad_metrics.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"

namespace thimble::data {
namespace {

// str.isspace of Python, which its str.split goes by.
bool IsSpace(UChar32 c) {
  const auto direction = u_charDirection(c);
  return direction == U_WHITE_SPACE_NEUTRAL || direction == U_BLOCK_SEPARATOR ||
         direction == U_SEGMENT_SEPARATOR || u_charType(c) == U_SPACE_SEPARATOR;
}

// \w of Python's re: letters and what has a numeric value, not combining marks.
bool IsWordCharacter(UChar32 c) {
  return c == '_' || u_isalpha(c) || u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE;
}

bool IsAsciiPunctuation(UChar32 c) { return c < 0x80 && u_isprint(c) && !u_isalnum(c) && c != ' '; }

std::vector<std::string> Tokens(const std::string& normalized) {
  std::vector<std::string> tokens;
  for (size_t at = 0; at < normalized.size();) {
    const size_t end = std::min(normalized.find(' ', at), normalized.size());
    tokens.push_back(normalized.substr(at, end - at));
    at = end + 1;
  }
  return tokens;
}

double F1(const std::string& predicted, const std::string& gold, SquadVersion version) {
  const auto a = Tokens(predicted), b = Tokens(gold);
  if (version == SquadVersion::k2 && (a.empty() || b.empty())) return a.empty() && b.empty();
  std::map<std::string, int> counts;
  for (const auto& token : b) ++counts[token];
  double same = 0;
  for (const auto& token : a) same += counts[token]-- > 0;
  if (same == 0) return 0;
  const double precision = same / static_cast<double>(a.size()),
               recall = same / static_cast<double>(b.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace

std::string NormalizeAnswer(std::string_view text) {
  icu::UnicodeString lower = icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
  lower.toLower(icu::Locale::getRoot());
  std::vector<UChar32> kept;
  for (int i = 0; i < lower.length(); i = lower.moveIndex32(i, 1)) {
    if (!IsAsciiPunctuation(lower.char32At(i))) kept.push_back(lower.char32At(i));
  }
  // Articles are whole runs of word characters; each becomes a space.
  icu::UnicodeString out;
  for (size_t at = 0; at < kept.size();) {
    size_t end = at;
    while (end < kept.size() && IsWordCharacter(kept[end])) ++end;
    icu::UnicodeString word;
    for (size_t i = at; i < end; ++i) word.append(kept[i]);
    if (word == u"a" || word == u"an" || word == u"the") word = u" ";
    out.append(word);
    if (end == at) out.append(kept[end++]);
    at = end;
  }
  icu::UnicodeString joined;
  bool space = false;
  for (int i = 0; i < out.length(); i = out.moveIndex32(i, 1)) {
    const UChar32 c = out.char32At(i);
    if (IsSpace(c)) {
      space = true;
      continue;
    }
    if (space && !joined.isEmpty()) joined.append(u' ');
    space = false;
    joined.append(c);
  }
  std::string result;
  joined.toUTF8String(result);
  return result;
}

SpanScore ScoreSpan(std::string_view predicted, const std::vector<std::string>& gold, SquadVersion version) {
  std::vector<std::string> answers;
  for (const auto& answer : gold) answers.push_back(NormalizeAnswer(answer));
  if (version == SquadVersion::k2) {
    std::erase(answers, "");
    if (answers.empty()) answers.emplace_back();
  }
  const std::string ours = NormalizeAnswer(predicted);
  SpanScore best;
  for (const auto& answer : answers) {
    best.exact = std::max(best.exact, static_cast<double>(ours == answer));
    best.f1 = std::max(best.f1, F1(ours, answer, version));
  }
  return best;
}

std::vector<Metric> SpanMetrics(const std::vector<std::string>& names, const std::vector<SpanScore>& scores) {
  THIMBLE_CHECK(!scores.empty(), "no questions");
  const auto n = static_cast<double>(scores.size());
  std::vector<Metric> metrics;
  for (const auto& name : names) {
    CheckMetric("metric", name, MetricKind::kSpans);
    double sum = 0, squares = 0;
    for (const auto& score : scores) {
      const double x = name == "f1" ? score.f1 : score.exact;
      sum += x;
      squares += x * x;
    }
    const double mean = sum / n;
    metrics.push_back({name, mean, std::sqrt(std::max(0.0, squares / n - mean * mean) / n)});
  }
  return metrics;
}

NullThreshold BestNullThreshold(std::vector<NullCandidate> questions) {
  THIMBLE_CHECK(!questions.empty(), "no questions");
  std::stable_sort(questions.begin(), questions.end(),
                   [](const auto& a, const auto& b) { return a.null_odds < b.null_odds; });
  // Below every threshold all questions go unanswered.
  double score = 0;
  for (const auto& question : questions) score += !question.has_answer;
  NullThreshold best{.threshold = 0, .score = score};
  for (const auto& question : questions) {
    score += question.has_answer ? question.score : question.empty ? 0 : -1;
    if (score > best.score) best = {question.null_odds, score};
  }
  best.score /= static_cast<double>(questions.size());
  return best;
}

}  // namespace thimble::data
