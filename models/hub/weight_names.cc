#include "models/hub/weight_names.h"

#include <algorithm>

namespace thimble::models {
namespace {

// torch.compile, FullyShardedDataParallel and checkpoint_wrapper; no module of a BERT is called so.
constexpr std::string_view kWrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.",
                                          "_checkpoint_wrapped_module."};

// True of the whole of `name`, or of what follows a dot.
bool EndsWithPart(std::string_view name, std::string_view part) {
  return name.ends_with(part) && (name.size() == part.size() || name[name.size() - part.size() - 1] == '.');
}

std::string WithoutWrappers(std::string name, std::string* left_out) {
  for (const std::string_view wrapper : kWrappers) {
    for (size_t place = name.find(wrapper); place != std::string::npos; place = name.find(wrapper, place)) {
      if (place > 0 && name[place - 1] != '.') {
        ++place;
        continue;
      }
      name.erase(place, wrapper.size());
      *left_out = wrapper;
    }
  }
  return name;
}

// A part of `prefix` is another family's: its weights are not this model's, whatever they are called.
bool NamesOtherFamily(std::string_view prefix, std::optional<Family> family) {
  while (!prefix.empty()) {
    const size_t dot = prefix.find('.');
    const auto named = FamilyOfModelType(prefix.substr(0, dot));
    if (named && named != family) return true;
    prefix.remove_prefix(dot + 1);
  }
  return false;
}

// What stands before the model's own names, told by its token table, the one tensor with such a name.
std::string PrefixOf(const std::vector<std::string>& names, std::optional<Family> family) {
  const std::string_view table = family ? "embeddings.word_embeddings.weight" : "embedding.token";
  const auto is_table = [&](const std::string& name) { return EndsWithPart(name, table); };
  if (std::count_if(names.begin(), names.end(), is_table) != 1) return "";
  std::string prefix = *std::find_if(names.begin(), names.end(), is_table);
  prefix.resize(prefix.size() - table.size());
  if (family && EndsWithPart(prefix, Prefix(*family))) prefix.resize(prefix.size() - Prefix(*family).size());
  return NamesOtherFamily(prefix, family) ? "" : prefix;
}

}  // namespace

UnwrappedNames UnwrapNames(const std::vector<std::string>& names, std::optional<Family> family) {
  UnwrappedNames result;
  std::string wrapper;
  for (const std::string& name : names) result.names.push_back(WithoutWrappers(name, &wrapper));
  if (!wrapper.empty()) result.note = "names have '" + wrapper + "' in them, which is left out";
  const std::string prefix = PrefixOf(result.names, family);
  if (prefix.empty()) return result;
  for (size_t i = 0; i < names.size(); ++i) {
    if (result.names[i].starts_with(prefix)) continue;
    result.obstacle = "the encoder's names begin with '" + prefix + "', but '" + names[i] + "' does not";
    return result;
  }
  for (std::string& name : result.names) name.erase(0, prefix.size());
  result.note +=
      (result.note.empty() ? "" : "; ") + ("names have '" + prefix + "' before them, which is left out");
  return result;
}

std::string ListNames(const std::vector<std::string>& names) {
  constexpr size_t kAll = 20, kFew = 5;
  const size_t shown = names.size() <= kAll ? names.size() : kFew;
  std::string list;
  for (size_t i = 0; i < shown; ++i) list += (i > 0 ? ", " : "") + names[i];
  if (shown < names.size()) list += " and " + std::to_string(names.size() - shown) + " more";
  return list;
}

}  // namespace thimble::models
