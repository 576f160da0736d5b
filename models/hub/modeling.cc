#include "models/hub/modeling.h"

#include <google/protobuf/descriptor.h>

#include <iterator>
#include <set>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "models/encoder/experts.h"
#include "models/encoder/kinds.h"
#include "proto/architecture.pb.h"

namespace thimble::models {
namespace {

const unsigned char kBase[] = {
#include "models/modeling_base.inc"
};

// "glu": Glu; a kind that is a message has the message's name.
std::string ClassName(const google::protobuf::Descriptor& kinds, const std::string& name) {
  const auto* field = kinds.FindFieldByName(name);
  THIMBLE_CHECK(field != nullptr, name);
  if (const auto* message = field->message_type()) return message->name();
  std::string text;
  bool upper = true;
  for (const char c : name) {
    if (c != '_') text += static_cast<char>(upper ? std::toupper(static_cast<unsigned char>(c)) : c);
    upper = c == '_';
  }
  return text;
}

// Those of `entries` that `used` says, in the list's order.
template <typename Entry, typename Used>
std::vector<const Entry*> Select(const std::vector<Entry>& entries, const Used& used) {
  std::vector<const Entry*> found;
  for (const Entry& entry : entries)
    if (used(entry)) found.push_back(&entry);
  return found;
}

// Of the operators that some block computes with, if any.
std::string OperatorTable(const ResolvedArchitecture& shape) {
  std::set<Operator> used;
  for (const LayerShape& layer : shape.layers)
    if (const auto operators = EntryOf(layer.ffn).operators)
      for (const Operator op : operators(layer)) used.insert(op);
  if (used.empty()) return "";
  std::string table = "\nOPERATORS = {";
  for (const Operator op : used)
    table += "\n    \"" + std::string(OperatorName(op)) + "\": " + std::string(OperatorPython(op)) + ",";
  return table + "\n}";
}

std::string Kinds(const ResolvedArchitecture& shape) {
  const auto any = [&](const auto& matches) {
    return std::any_of(shape.layers.begin(), shape.layers.end(), matches);
  };
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "\n\n") + part; };
  const EmbeddingEntry& embedding = EntryOf(shape.embedding);
  add(embedding.python);
  std::string tables = "EMBEDDING = " + ClassName(*proto::Embedding::descriptor(), embedding.name) + "\n";

  std::string biases;
  for (const AttentionBiasEntry* bias : Select(AttentionBiases(), [&](const AttentionBiasEntry& entry) {
         return any([&](const LayerShape& layer) { return BiasOf(layer.mixer) == &entry; });
       })) {
    add(bias->python);
    biases += (biases.empty() ? "\"" : ", \"") + bias->name +
              "\": " + ClassName(*proto::SelfAttention::descriptor(), bias->name);
  }
  tables += "BIASES = {" + biases + "}\n";
  tables +=
      "# By the name in a layer's \"mixer\" (None: BERT's): the name of its weights, and the class.\nMIXERS "
      "= {";
  for (const MixerEntry* mixer : Select(Mixers(), [&](const MixerEntry& entry) {
         return any([&](const LayerShape& layer) { return &EntryOf(layer.mixer) == &entry; });
       })) {
    add(mixer->python);
    const std::string made = "(\"" + (mixer->scope != nullptr ? mixer->scope : mixer->name) + "\", " +
                             ClassName(*proto::Mixer::descriptor(), mixer->name) + "), ";
    if (mixer->bert) tables += "None: " + made;
    tables += "\"" + mixer->name + "\": " + made;
  }
  tables.resize(tables.size() - 2);
  tables += "}\nFEED_FORWARDS = {";
  for (const FeedForwardEntry* ffn : Select(FeedForwards(), [&](const FeedForwardEntry& entry) {
         return any([&](const LayerShape& layer) { return &EntryOf(layer.ffn) == &entry; });
       })) {
    add(ffn->python);
    tables += "\"" + ffn->name + "\": " + ClassName(*proto::FeedForward::descriptor(), ffn->name) + ", ";
  }
  tables.resize(tables.size() - 2);
  tables += "}\nEXPERTS = {";
  const std::tuple<proto::FeedForward::ExpertsCase, const char*, const char*> experts[] = {
      {proto::FeedForward::kRouted, "\"routed\": Routed", kRoutedPython},
      {proto::FeedForward::kMerged, "\"merged\": Merged", kMergedPython}};
  bool first = true;
  for (const auto& [kind, entry, python] : experts) {
    if (!any([&, kind = kind](const LayerShape& layer) { return layer.ffn.experts_case() == kind; }))
      continue;
    add(python);
    tables += (first ? "" : ", ") + std::string(entry);
    first = false;
  }
  add(tables + "}" + OperatorTable(shape));
  return text;
}

}  // namespace

std::string ModelingText(const ResolvedArchitecture& shape) {
  std::string text(std::begin(kBase), std::end(kBase));
  const std::string mark = "# KINDS\n";
  const size_t at = text.find(mark);
  THIMBLE_CHECK(at != std::string::npos, "modeling_base.py has lost its mark");
  return text.replace(at, mark.size(), Kinds(shape) + "\n");
}

}  // namespace thimble::models
