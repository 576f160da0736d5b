#include "data/label_spelling.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace thimble::data {
namespace {

constexpr char kNumber = '\x01';  // begins a number's key; no label of words begins so
constexpr std::string_view kDigits = "0123456789";

std::string_view TakeDigits(std::string_view* text) {
  const std::string_view digits = text->substr(0, text->find_first_not_of(kDigits));
  text->remove_prefix(digits.size());
  return digits;
}

bool Take(std::string_view signs, std::string_view* text) {
  const bool found = !text->empty() && signs.find(text->front()) != std::string_view::npos;
  if (found) text->remove_prefix(1);
  return found;
}

// "-12e3" of -12000.0, behind kNumber: sign, digits without zeros at either end, power of ten. Empty if
// `text` is no decimal number. Not by way of a double, which has one value for many long numbers.
std::string NumberKey(std::string_view text) {
  const bool negative = text.starts_with('-');
  Take("+-", &text);
  const std::string_view whole = TakeDigits(&text),
                         fraction = Take(".", &text) ? TakeDigits(&text) : std::string_view();
  if (whole.empty() && fraction.empty()) return "";
  int power = 0;
  if (Take("eE", &text)) {
    if (text.starts_with('+')) text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), power);
    constexpr int kGreatest = 1'000'000;
    if (error != std::errc() || std::abs(power) > kGreatest) return "";
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  if (!text.empty()) return "";
  std::string digits = std::string(whole) + std::string(fraction);
  power -= static_cast<int>(fraction.size());
  const size_t first = digits.find_first_not_of('0');
  if (first == std::string::npos) return kNumber + std::string("0");
  const size_t last = digits.find_last_not_of('0');
  power += static_cast<int>(digits.size() - 1 - last);
  return kNumber + std::string(negative ? "-" : "") + digits.substr(first, last - first + 1) + "e" +
         std::to_string(power);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string SpellingKey(std::string_view label) {
  const std::string_view text = Trimmed(label);
  const std::string number = NumberKey(text);
  if (!number.empty()) return number;
  const std::string lower = LowerCase(text);
  return IsTruthKey(lower) ? lower : std::string(text);
}

bool IsNumberKey(std::string_view key) { return key.starts_with(kNumber); }
bool IsTruthKey(std::string_view key) { return key == "true" || key == "false"; }

int FindLabel(const std::vector<std::string>& labels, std::string_view cell) {
  auto label = std::find(labels.begin(), labels.end(), cell);
  if (label == labels.end()) {
    const std::string key = SpellingKey(cell);
    label = std::find_if(labels.begin(), labels.end(),
                         [&](const std::string& each) { return SpellingKey(each) == key; });
  }
  return label == labels.end() ? -1 : static_cast<int>(label - labels.begin());
}

}  // namespace thimble::data
