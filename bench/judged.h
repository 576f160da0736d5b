// Messages that a judge compares, as the command line has them.
#pragma once
#include <string>
#include <vector>

#include "base/catalogue.h"
#include "base/config.h"
#include "base/error.h"

namespace thimble::bench {

// A message and how tables call it: its text, a kind without fields by its name alone.
template <typename Message>
struct Judged {
  std::string label;
  Message spec;
};

// "NAME {}" of those entries that `fits`.
template <typename Entry>
std::vector<std::string> PlainTexts(const std::vector<Entry>& entries, bool (*fits)(const Entry&)) {
  std::vector<std::string> texts;
  for (const Entry& entry : entries)
    if (fits(entry)) texts.push_back(entry.name + " {}");
  return texts;
}

// Error (exit 2), of `flag`: what does not parse, and what does not fit, with `problem`. `entry_of`: of a
// message its entry.
template <typename Message, typename Entry, typename EntryFor>
std::vector<Judged<Message>> ReadJudged(const std::vector<std::string>& texts, const std::string& flag,
                                        const std::string& problem, const std::vector<Entry>& entries,
                                        bool (*fits)(const Entry&), EntryFor entry_of) {
  std::vector<Judged<Message>> all;
  for (const auto& text : texts) {
    auto& judged = all.emplace_back();
    ParseText(text, flag, &judged.spec);
    judged.label = text.ends_with(" {}") ? text.substr(0, text.size() - 3) : text;
    if (!fits(entry_of(judged.spec))) throw BadRequest(flag, problem, text, NamesIn(entries, fits));
  }
  return all;
}

}  // namespace thimble::bench
