// Text protobuf in and out: strict reading, overriding from the command line, validation by the field options
// of proto/options.proto. Every problem is an Error that names file, line, field, what was given and what is
// accepted.
#pragma once
#include <string>
#include <string_view>

namespace google::protobuf {
class Message;
class Descriptor;
class FieldDescriptor;
}  // namespace google::protobuf

namespace thimble {

using Message = google::protobuf::Message;

// Parses `text` (shown as `name` in errors) into `message` and checks it with Validate.
void ParseText(std::string_view text, const std::string& name, Message* message);
void ReadText(const std::string& path, Message* message);

// One "--set a.b[2].c=3": the path's messages are created as needed, an index may be one past the end
// (appends). A message field takes its text form: "optimizer={came {learning_rate: 1e-4}}". Call Validate
// after the last one.
void Override(const std::string& assignment, Message* message);

// Required fields and oneofs, ranges, all the way down. `name` heads the error. With `text` (the text
// `message` was parsed from) errors carry line numbers.
void Validate(const Message& message, const std::string& name, std::string_view text = "");

// Text form with fields in schema order, the two header comments on top when `headers`.
std::string PrintText(const Message& message, bool headers = true);
// Canonical one-line form: equal messages (defaults left out or spelt out alike) give equal text.
std::string CanonicalText(const Message& message);
void WriteText(const std::string& path, const Message& message);

// The member of the message's oneof `kind` that is set; nullptr if none is.
const google::protobuf::FieldDescriptor* KindField(const Message& message);

// The schema's comment for a message or field, full name like "thimble.proto.Came.beta3"; empty if there is
// none.
std::string CommentOf(const std::string& full_name);
// What a message accepts, one field a line: name, type, default, range, comment.
std::string DescribeFields(const google::protobuf::Descriptor& descriptor);

}  // namespace thimble
