// Labels of tables that are spelt in more than one way: a program that reads a column of numbers and writes
// it again makes 1.0 of 1, True of true, 1 of 01.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace thimble::data {

// Equal for spellings of one label: numbers of the same value ("1", "1.0", "01", "1e0"; exact, however many
// digits), true and false in any case, anything with white space around it. Other words are themselves.
std::string SpellingKey(std::string_view label);

// Without the white space around it.
std::string_view Trimmed(std::string_view text);

// Whether a key is that of a number, of a truth value.
bool IsNumberKey(std::string_view key);
bool IsTruthKey(std::string_view key);

// The class of a cell: the label that is spelt like it, else one with its key; -1: none.
int FindLabel(const std::vector<std::string>& labels, std::string_view cell);

}  // namespace thimble::data
