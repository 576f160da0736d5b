// Helpers shared by reading and validating text protobuf: what a message accepts, in words. Users call
// base/config.h.
#pragma once
#include <string>

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
}  // namespace google::protobuf

namespace thimble {

std::string FieldNames(const google::protobuf::Descriptor& descriptor);  // "a, b, c"
// The same, and which of them `given` is likely to stand for.
std::string FieldNames(const google::protobuf::Descriptor& descriptor, const std::string& given);
std::string RangeText(const google::protobuf::FieldDescriptor& field);  // "above 0 and up to 1"; empty: any
std::string TypeText(const google::protobuf::FieldDescriptor& field);   // "integer", "one of: a, b"
// "; accepted: ..." to append to a parser's message about an unknown field or enum value of a message below
// `root`.
std::string AcceptedAfter(const std::string& parser_message, const google::protobuf::Descriptor* root);

}  // namespace thimble
