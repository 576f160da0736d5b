#include "base/config.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/text_literal.h"
#include "base/validate.h"

namespace thimble {
namespace {

namespace pb = google::protobuf;

// Keeps the first problem, as "FILE:LINE:COLUMN: what".
class FirstProblem : public pb::io::ErrorCollector {
 public:
  FirstProblem(const std::string& name, const pb::Descriptor* descriptor) : name_(name), root_(descriptor) {}
  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ = name_ + ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1) + ": " + message +
            AcceptedAfter(message, root_);
  }
  void AddWarning(int, int, const std::string&) override {}
  const std::string& text() const { return text_; }

 private:
  std::string name_, text_;
  const pb::Descriptor* root_;
};

void ParseInto(std::string_view text, const std::string& name, Message* message) {
  pb::TextFormat::Parser parser;
  FirstProblem problem(name, message->GetDescriptor());
  parser.RecordErrorsTo(&problem);
  parser.SetRecursionLimit(64);
  pb::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
  if (!parser.Parse(&stream, message)) throw Error("cannot read " + problem.text());
}

// One step of an override path: field name and index (-1: none).
struct Step {
  std::string name;
  int index = -1;
};

std::vector<Step> SplitPath(const std::string& path, const std::string& assignment) {
  std::vector<Step> steps;
  size_t at = 0;
  while (at <= path.size()) {
    const size_t dot = std::min(path.find('.', at), path.size());
    Step step{path.substr(at, dot - at)};
    if (const size_t open = step.name.find('['); open != std::string::npos) {
      const std::string digits = step.name.substr(open + 1, step.name.size() - open - 2);
      if (step.name.back() != ']' || digits.empty() || digits.size() > 6 ||
          digits.find_first_not_of("0123456789") != std::string::npos)
        throw BadRequest("--set " + assignment, "an index is a number in brackets", step.name, "name[2]");
      step.index = std::stoi(digits);
      step.name.resize(open);
    }
    steps.push_back(step);
    at = dot + 1;
  }
  return steps;
}

const pb::FieldDescriptor* FieldOf(const pb::Descriptor* descriptor, const std::string& name,
                                   const std::string& where) {
  const auto* field = descriptor->FindFieldByName(name);
  if (field == nullptr)
    throw BadRequest(where, std::string("no field \"") + name + "\" in " + descriptor->name(), "",
                     FieldNames(*descriptor, name));
  return field;
}

}  // namespace

void ParseText(std::string_view text, const std::string& name, Message* message) {
  message->Clear();
  ParseInto(text, name, message);
  Validate(*message, name, text);
}

void ReadText(const std::string& path, Message* message) { ParseText(ReadFile(path), path, message); }

void Override(const std::string& assignment, Message* message) {
  const std::string where = "--set " + assignment;
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    throw BadRequest(where, "an override has the form path=value", "", "a.b[2].c=3");
  const auto steps = SplitPath(assignment.substr(0, equals), assignment);
  const std::string value = assignment.substr(equals + 1);
  Message* current = message;
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const auto* field = FieldOf(current->GetDescriptor(), steps[i].name, where);
    const auto* reflection = current->GetReflection();
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE)
      throw BadRequest(where, "\"" + steps[i].name + "\" is a value and has no fields");
    if (!field->is_repeated()) {
      current = reflection->MutableMessage(current, field);
      continue;
    }
    const int size = reflection->FieldSize(*current, field);
    if (steps[i].index < 0 || steps[i].index > size)
      throw BadRequest(where, "\"" + steps[i].name + "\" has " + std::to_string(size) + " entries", "",
                       "an index from 0 to " + std::to_string(size) + " (the last one appends)");
    current = steps[i].index == size ? reflection->AddMessage(current, field)
                                     : reflection->MutableRepeatedMessage(current, field, steps[i].index);
  }
  const auto& last = steps.back();
  const auto* field = FieldOf(current->GetDescriptor(), last.name, where);
  const auto* reflection = current->GetReflection();
  const bool is_message = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
  std::unique_ptr<Message> patch(current->New());
  const bool bracketed =
      !value.empty() && (value[0] == '{' || value[0] == '[' || value[0] == '"' || value[0] == '\'');
  const bool quote = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING && !bracketed;
  std::string text = value;
  if (quote) text = TextLiteral(value);
  if (is_message && !bracketed) text = "{" + text + "}";
  ParseInto(last.name + ": " + text, where, patch.get());
  if (last.index >= 0) {
    const int size = field->is_repeated() ? reflection->FieldSize(*current, field) : 0;
    if (last.index > size)
      throw BadRequest(where, "\"" + last.name + "\" has " + std::to_string(size) + " entries");
    if (last.index < size) {  // replace one entry: append the new one, swap it into place, drop the old
      current->MergeFrom(*patch);
      reflection->SwapElements(current, field, last.index, size);
      reflection->RemoveLast(current, field);
      return;
    }
    current->MergeFrom(*patch);
    return;
  }
  reflection->ClearField(current, field);
  current->MergeFrom(*patch);
}

std::string PrintText(const Message& message, bool headers) {
  pb::TextFormat::Printer printer;
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  printer.PrintToString(message, &text);
  if (!headers) return text;
  const auto* descriptor = message.GetDescriptor();
  return "# proto-file: " + descriptor->file()->name() + "\n# proto-message: " + descriptor->full_name() +
         "\n\n" + text;
}

namespace {
// Whether a set field holds what it would if it were not set.
bool IsDefault(const Message& message, const pb::FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field) == field->default_value_int32();
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, field) == field->default_value_int64();
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return reflection->GetUInt32(message, field) == field->default_value_uint32();
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return reflection->GetUInt64(message, field) == field->default_value_uint64();
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return reflection->GetFloat(message, field) == field->default_value_float();
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, field) == field->default_value_double();
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field) == field->default_value_bool();
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return reflection->GetEnumValue(message, field) == field->default_value_enum()->number();
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, field) == field->default_value_string();
    default:
      return false;
  }
}

// Drops values that equal their default, so that spelling a default out changes nothing.
void DropDefaults(Message* message) {
  const auto* reflection = message->GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      const int n = field->is_repeated() ? reflection->FieldSize(*message, field) : 1;
      for (int i = 0; i < n; ++i)
        DropDefaults(field->is_repeated() ? reflection->MutableRepeatedMessage(message, field, i)
                                          : reflection->MutableMessage(message, field));
      continue;
    }
    if (field->is_repeated() || field->containing_oneof() != nullptr) continue;
    if (IsDefault(*message, field)) reflection->ClearField(message, field);
  }
}
}  // namespace

std::string CanonicalText(const Message& message) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  DropDefaults(copy.get());
  pb::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  printer.PrintToString(*copy, &text);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

const pb::FieldDescriptor* KindField(const Message& message) {
  return message.GetReflection()->GetOneofFieldDescriptor(message,
                                                          message.GetDescriptor()->FindOneofByName("kind"));
}

void WriteText(const std::string& path, const Message& message) {
  WriteFileAtomically(path, PrintText(message));
}

}  // namespace thimble
