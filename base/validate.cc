#include "base/validate.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <functional>
#include <map>
#include <memory>
#include <regex>

#include "base/config.h"
#include "base/error.h"
#include "base/spelling.h"
#include "proto/descriptors.h"
#include "proto/options.pb.h"

namespace thimble {
namespace pb = google::protobuf;
namespace {

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.12g", value);
  return text;
}

bool InRange(const proto::Range& range, double value) {
  return !(range.has_min() && !(value >= range.min())) && !(range.has_max() && !(value <= range.max())) &&
         !(range.has_above() && !(value > range.above())) && !(range.has_below() && !(value < range.below()));
}

// The value of a numeric field as double; false for other types.
bool NumberOf(const pb::Message& message, const pb::FieldDescriptor& field, int index, double* value) {
  const auto* r = message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      *value = many ? r->GetRepeatedInt32(message, &field, index) : r->GetInt32(message, &field);
      return true;
    case pb::FieldDescriptor::CPPTYPE_INT64:
      *value = many ? r->GetRepeatedInt64(message, &field, index) : r->GetInt64(message, &field);
      return true;
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      *value = many ? r->GetRepeatedUInt64(message, &field, index) : r->GetUInt64(message, &field);
      return true;
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      *value = many ? r->GetRepeatedDouble(message, &field, index) : r->GetDouble(message, &field);
      return true;
    default:
      return false;
  }
}

class Walk {
 public:
  Walk(std::string name, const pb::TextFormat::ParseInfoTree* lines)
      : name_(std::move(name)), lines_(lines) {}

  void Check(const pb::Message& message) { Check(message, "", lines_); }

 private:
  std::string Where(const std::string& path, int line) const {
    return name_ + (line >= 0 ? ":" + std::to_string(line + 1) : "") + (path.empty() ? "" : ": " + path);
  }

  void Check(const pb::Message& message, const std::string& path,
             const pb::TextFormat::ParseInfoTree* lines) {
    const auto* descriptor = message.GetDescriptor();
    const auto* reflection = message.GetReflection();
    for (int i = 0; i < descriptor->real_oneof_decl_count(); ++i) {
      const auto* oneof = descriptor->oneof_decl(i);
      if (!oneof->options().GetExtension(proto::required_oneof) || reflection->HasOneof(message, oneof))
        continue;
      std::string names;
      for (int f = 0; f < oneof->field_count(); ++f) names += (f ? ", " : "") + oneof->field(f)->name();
      throw BadRequest(Where(path, last_line_), "one of its kinds must be given", "", names);
    }
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const auto& field = *descriptor->field(i);
      const std::string below = path.empty() ? field.name() : path + "." + field.name();
      const int count = field.is_repeated() ? reflection->FieldSize(message, &field)
                                            : (reflection->HasField(message, &field) ? 1 : 0);
      if (count == 0 && field.options().GetExtension(proto::required))
        throw BadRequest(Where(below, last_line_), "must be given", "", RangeText(field));
      for (int k = 0; k < count; ++k) CheckValue(message, field, below, k, lines);
    }
  }

  void CheckValue(const pb::Message& message, const pb::FieldDescriptor& field, const std::string& path,
                  int index, const pb::TextFormat::ParseInfoTree* lines) {
    const auto* reflection = message.GetReflection();
    const int slot = field.is_repeated() ? index : -1;
    const std::string place = field.is_repeated() ? path + "[" + std::to_string(index) + "]" : path;
    const int line = lines != nullptr ? lines->GetLocation(&field, slot).line : -1;
    if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      const auto* nested = lines != nullptr ? lines->GetTreeForNested(&field, slot) : nullptr;
      const int outer = last_line_;
      last_line_ = line;
      Check(field.is_repeated() ? reflection->GetRepeatedMessage(message, &field, index)
                                : reflection->GetMessage(message, &field),
            place, nested);
      last_line_ = outer;
      return;
    }
    double value;
    if (field.options().HasExtension(proto::range) && NumberOf(message, field, index, &value) &&
        !InRange(field.options().GetExtension(proto::range), value))
      throw BadRequest(Where(place, line), "out of range", Number(value), RangeText(field));
  }

  std::string name_;
  const pb::TextFormat::ParseInfoTree* lines_;
  int last_line_ = -1;
};

}  // namespace

void Validate(const Message& message, const std::string& name, std::string_view text) {
  pb::TextFormat::ParseInfoTree lines;
  if (!text.empty()) {  // parse again, this time keeping places
    pb::TextFormat::Parser parser;
    parser.WriteLocationsTo(&lines);
    std::unique_ptr<Message> copy(message.New());
    pb::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
    parser.Parse(&stream, copy.get());
  }
  Walk(name, text.empty() ? nullptr : &lines).Check(message);
}

std::string FieldNames(const pb::Descriptor& descriptor) {
  std::string names;
  for (int i = 0; i < descriptor.field_count(); ++i) names += (i ? ", " : "") + descriptor.field(i)->name();
  return names.empty() ? "no fields" : names;
}

std::string FieldNames(const pb::Descriptor& descriptor, const std::string& given) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor.field_count(); ++i) names.push_back(descriptor.field(i)->name());
  return FieldNames(descriptor) + DidYouMean(given, names);
}

std::string RangeText(const pb::FieldDescriptor& field) {
  if (!field.options().HasExtension(proto::range)) return "";
  const auto& range = field.options().GetExtension(proto::range);
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (range.has_min()) add("at least " + Number(range.min()));
  if (range.has_above()) add("above " + Number(range.above()));
  if (range.has_max()) add("at most " + Number(range.max()));
  if (range.has_below()) add("below " + Number(range.below()));
  return text;
}

std::string TypeText(const pb::FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
    case pb::FieldDescriptor::CPPTYPE_INT64:
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return "integer";
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return "number";
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return "text";
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      std::string names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i)
        names += (i ? ", " : "") + field.enum_type()->value(i)->name();
      return "one of: " + names;
    }
    default:
      return "{ " + FieldNames(*field.message_type()) + " }";
  }
}

std::string AcceptedAfter(const std::string& parser_message, const pb::Descriptor* root) {
  static const std::regex unknown_field(R"re(Message type "([^"]+)" has no field named "([^"]*)")re");
  static const std::regex unknown_value(R"re(for field "([^"]+)")re");
  const auto* pool = pb::DescriptorPool::generated_pool();
  std::smatch match;
  if (std::regex_search(parser_message, match, unknown_field)) {
    const auto* type = pool->FindMessageTypeByName(match[1]);
    return type == nullptr ? "" : "; accepted: " + FieldNames(*type, match[2]);
  }
  if (!std::regex_search(parser_message, match, unknown_value)) return "";
  // The parser names the field without its message: the first field of that name below `root` is described.
  std::map<const pb::Descriptor*, bool> seen;
  std::function<const pb::FieldDescriptor*(const pb::Descriptor*)> find =
      [&](const pb::Descriptor* type) -> const pb::FieldDescriptor* {
    if (seen[type]) return nullptr;
    seen[type] = true;
    if (const auto* field = type->FindFieldByName(match[1])) return field;
    for (int i = 0; i < type->field_count(); ++i)
      if (const auto* nested = type->field(i)->message_type())
        if (const auto* field = find(nested)) return field;
    return nullptr;
  };
  const auto* field = find(root);
  return field == nullptr ? "" : "; accepted: " + TypeText(*field);
}

std::string CommentOf(const std::string& full_name) {
  static const auto comments = [] {
    std::map<std::string, std::string> found;
    pb::FileDescriptorSet set;
    const auto bytes = proto::DescriptorSet();
    set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    pb::DescriptorPool pool(pb::DescriptorPool::generated_pool());
    for (const auto& file : set.file()) {
      // Walk the file's own description: paths in SourceCodeInfo are (4, message, [3, nested,] [2, field]).
      for (const auto& location : file.source_code_info().location()) {
        std::string comment = location.leading_comments() + location.trailing_comments();
        if (comment.empty() || location.path_size() < 2 || location.path(0) != 4) continue;
        const pb::DescriptorProto* type = &file.message_type(location.path(1));
        std::string name = file.package() + "." + type->name();
        int i = 2;
        for (; i + 1 < location.path_size() && location.path(i) == 3; i += 2) {
          type = &type->nested_type(location.path(i + 1));
          name += "." + type->name();
        }
        if (i + 1 < location.path_size() && location.path(i) == 2 && i + 2 == location.path_size())
          name += "." + type->field(location.path(i + 1)).name();
        else if (i != location.path_size())
          continue;
        std::string flat;
        for (const char c : comment) {
          const char space = c == '\n' ? ' ' : c;
          if (space == ' ' && (flat.empty() || flat.back() == ' ')) continue;
          flat += space;
        }
        while (!flat.empty() && flat.back() == ' ') flat.pop_back();
        found[name] = flat;
      }
    }
    return found;
  }();
  const auto it = comments.find(full_name);
  return it == comments.end() ? "" : it->second;
}

std::string DescribeFields(const pb::Descriptor& descriptor) {
  std::string text;
  std::unique_ptr<Message> unset(pb::MessageFactory::generated_factory()->GetPrototype(&descriptor)->New());
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const auto& field = *descriptor.field(i);
    text += "  " + field.name() + ": " + TypeText(field);
    if (const std::string range = RangeText(field); !range.empty()) text += ", " + range;
    if (field.options().GetExtension(proto::required)) text += ", required";
    if (field.has_default_value()) {
      std::string value;
      pb::TextFormat::PrintFieldValueToString(*unset, &field, -1, &value);
      text += ", default " + value;
    }
    if (field.options().HasExtension(proto::default_choice))
      text += ", default " + field.options().GetExtension(proto::default_choice);
    text += "\n";
    if (const std::string comment = CommentOf(field.full_name()); !comment.empty())
      text += "      " + comment + "\n";
  }
  return text;
}

}  // namespace thimble
