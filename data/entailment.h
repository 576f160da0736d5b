// The classes of tasks about entailment, and what models call them.
#pragma once
#include <string>
#include <vector>

namespace thimble::data {

inline const std::vector<std::string> kThreeWay = {"entailment", "neutral", "contradiction"};
inline const std::vector<std::vector<std::string>> kThreeWayNames = {
    {"entail", "entails", "entailed", "e"},
    {"neither", "n"},
    {"contradict", "contradicts", "contradictory", "c"}};

inline const std::vector<std::string> kTwoWay = {"entailment", "not_entailment"};
inline const std::vector<std::string> kEntailmentNames = {"entail", "entails", "entailed", "true", "yes"};
inline const std::vector<std::string> kNoEntailmentNames = {"not_entail",    "not_entailed", "non_entailment",
                                                            "no_entailment", "false",        "no"};
inline const std::vector<std::vector<std::string>> kTwoWayNames = {kEntailmentNames, kNoEntailmentNames};

}  // namespace thimble::data
