#include "tools/shell/reference.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "base/config.h"
#include "proto/architecture.pb.h"
#include "proto/study.pb.h"
#include "proto/task.pb.h"

namespace thimble::tools {
namespace {

namespace pb = google::protobuf;

constexpr size_t kColumns = 120;

// `text` in lines of at most kColumns; those from the second on begin with `indent` spaces.
std::string Wrapped(const std::string& text, size_t indent) {
  std::string lines, line;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > kColumns) {
      lines += line + "\n";
      line.assign(indent, ' ').append(word);
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
  }
  return lines + line + "\n";
}

// Depth first, so that a message stands before what its fields are made of.
void Collect(const pb::Descriptor* message, std::vector<const pb::Descriptor*>* all,
             std::set<const pb::Descriptor*>* seen) {
  if (message->file()->package() != "thimble.proto" || !seen->insert(message).second) return;
  all->push_back(message);
  for (int i = 0; i < message->field_count(); ++i)
    if (const auto* inner = message->field(i)->message_type()) Collect(inner, all, seen);
}

std::string Section(const pb::Descriptor& message) {
  std::string text = "### " + message.name() + "\n\n";
  if (const std::string comment = CommentOf(message.full_name()); !comment.empty())
    text += Wrapped(comment, 0) + "\n";
  std::istringstream fields(DescribeFields(message));
  std::vector<std::string> items;
  for (std::string line; std::getline(fields, line);) {
    if (line.starts_with("      ")) {
      items.back() += ". " + line.substr(6);
    } else {
      const size_t colon = line.find(':');
      items.push_back("- `" + line.substr(2, colon - 2) + "`" + line.substr(colon));
    }
  }
  for (const std::string& item : items) text += Wrapped(item, 2);
  return text + (items.empty() ? "No fields.\n\n" : "\n");
}

}  // namespace

std::string ReferenceText() {
  std::vector<const pb::Descriptor*> messages;
  std::set<const pb::Descriptor*> seen;
  Collect(proto::Study::descriptor(), &messages, &seen);
  Collect(proto::Architecture::descriptor(), &messages, &seen);
  Collect(proto::Mix::descriptor(), &messages, &seen);
  std::vector<std::string> files;
  std::map<std::string, std::string> sections;
  for (const auto* message : messages) {
    const std::string& file = message->file()->name();
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
    sections[file] += Section(*message);
  }
  std::string text =
      "# Reference\n\n" +
      Wrapped(
          "Every message that a study, a recipe, an architecture or a task's file may hold, as the schema "
          "says it; `thimble describe "
          "NAME` prints one (`thimble describe optimizer came`), `thimble describe --reference` this page.",
          0);
  for (const std::string& file : files)
    text += "\n## " + file + "\n\n" + sections[file].substr(0, sections[file].size() - 1);
  return text;
}

}  // namespace thimble::tools
