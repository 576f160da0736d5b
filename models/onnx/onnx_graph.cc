#include "models/onnx/onnx_graph.h"

#include <ATen/ATen.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <climits>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/files.h"

namespace thimble::models {
namespace {

constexpr int kOpset = 17;  // the first with LayerNormalization
constexpr int kIrVersion = 8;

// Protobuf's output straight into the file: a model is not held in memory a second time. Its streams write in
// their destructors, too, where an exception ends the program: one is kept until they are gone.
class FileStream final : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(const Append& append) : append_(append) {}
  bool Write(const void* buffer, int size) override {
    try {
      if (!error_) append_({static_cast<const char*>(buffer), static_cast<size_t>(size)});
    } catch (...) {
      error_ = std::current_exception();
    }
    return !error_;
  }
  void Rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const Append& append_;
  std::exception_ptr error_;
};

onnx::AttributeProto NamedAttribute(const std::string& name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto attribute;
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

void Describe(onnx::ValueInfoProto* value, const std::string& name, onnx::TensorProto::DataType type,
              const OnnxGraph::Dimensions& dimensions) {
  value->set_name(name);
  auto* tensor = value->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  for (const auto& dimension : dimensions) {
    auto* dim = tensor->mutable_shape()->add_dim();
    if (dimension.value >= 0)
      dim->set_dim_value(dimension.value);
    else
      dim->set_dim_param(dimension.dynamic);
  }
}

}  // namespace

onnx::AttributeProto IntAttribute(const std::string& name, int64_t value) {
  auto attribute = NamedAttribute(name, onnx::AttributeProto::INT);
  attribute.set_i(value);
  return attribute;
}

onnx::AttributeProto IntsAttribute(const std::string& name, const std::vector<int64_t>& values) {
  auto attribute = NamedAttribute(name, onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
  return attribute;
}

onnx::AttributeProto FloatAttribute(const std::string& name, float value) {
  auto attribute = NamedAttribute(name, onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
  return attribute;
}

OnnxGraph::OnnxGraph(const std::string& name) {
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name("thimble");
  auto* opset = model_.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  model_.mutable_graph()->set_name(name);
}

std::string OnnxGraph::Input(const std::string& name, onnx::TensorProto::DataType type,
                             const Dimensions& dimensions) {
  Describe(model_.mutable_graph()->add_input(), name, type, dimensions);
  return name;
}

void OnnxGraph::Output(const std::string& name, onnx::TensorProto::DataType type,
                       const Dimensions& dimensions) {
  auto* graph = model_.mutable_graph();
  THIMBLE_CHECK(graph->node_size() > 0, name);
  graph->mutable_node(graph->node_size() - 1)->set_output(0, name);
  Describe(graph->add_output(), name, type, dimensions);
}

void OnnxGraph::State(const std::string& value, onnx::TensorProto::DataType type,
                      const Dimensions& dimensions) {
  Describe(model_.mutable_graph()->add_value_info(), value, type, dimensions);
}

onnx::NodeProto* OnnxGraph::AddNode(const std::string& type, const std::string& scope,
                                    const std::vector<std::string>& inputs) {
  std::string name = scope + "/" + type;
  const int uses = uses_[name]++;
  if (uses > 0) name += "_" + std::to_string(uses);
  auto* node = model_.mutable_graph()->add_node();
  node->set_op_type(type);
  node->set_name(name);
  for (const auto& input : inputs) node->add_input(input);
  return node;
}

std::string OnnxGraph::Node(const std::string& type, const std::string& scope,
                            const std::vector<std::string>& inputs,
                            const std::vector<onnx::AttributeProto>& attributes) {
  auto* node = AddNode(type, scope, inputs);
  node->add_output(node->name());
  for (const auto& attribute : attributes) *node->add_attribute() = attribute;
  return node->name();
}

std::vector<std::string> OnnxGraph::Nodes(const std::string& type, const std::string& scope,
                                          const std::vector<std::string>& inputs, int count) {
  auto* node = AddNode(type, scope, inputs);
  for (int i = 0; i < count; ++i) node->add_output(node->name() + ":" + std::to_string(i));
  return {node->output().begin(), node->output().end()};
}

onnx::TensorProto* OnnxGraph::AddInitializer(const std::string& name, onnx::TensorProto::DataType type) {
  auto* tensor = model_.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  return tensor;
}

std::string OnnxGraph::Weight(const std::string& name, const at::Tensor& tensor) {
  THIMBLE_CHECK(uses_[name]++ == 0, name);
  const bool bytes = c10::isIntegralType(tensor.scalar_type(), false);
  THIMBLE_CHECK(!bytes || tensor.element_size() == 1, name);
  const auto type = !bytes                              ? onnx::TensorProto::FLOAT
                    : tensor.scalar_type() == at::kByte ? onnx::TensorProto::UINT8
                                                        : onnx::TensorProto::INT8;
  const at::Tensor values =
      tensor.detach().to(at::kCPU, bytes ? tensor.scalar_type() : at::kFloat).contiguous();
  auto* initializer = AddInitializer(name, type);
  for (const int64_t size : values.sizes()) initializer->add_dims(size);
  initializer->set_raw_data(values.data_ptr(), values.nbytes());
  return name;
}

std::string OnnxGraph::Integers(const std::vector<int64_t>& values) {
  std::string name = "integers";
  for (const int64_t value : values) name += "_" + std::to_string(value);
  if (uses_[name]++ > 0) return name;
  auto* initializer = AddInitializer(name, onnx::TensorProto::INT64);
  initializer->add_dims(static_cast<int64_t>(values.size()));
  for (const int64_t value : values) initializer->add_int64_data(value);
  return name;
}

std::string OnnxGraph::Integer(int64_t value) {
  const std::string name = "integer_" + std::to_string(value);
  if (uses_[name]++ == 0) AddInitializer(name, onnx::TensorProto::INT64)->add_int64_data(value);
  return name;
}

std::string OnnxGraph::Float(float value) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.9g", value);  // 9 digits tell any two floats apart
  const std::string name = std::string("float_") + digits;
  if (uses_[name]++ == 0) AddInitializer(name, onnx::TensorProto::FLOAT)->add_float_data(value);
  return name;
}

void OnnxGraph::AddMetadata(const std::string& key, const std::string& value) {
  auto* property = model_.add_metadata_props();
  property->set_key(key);
  property->set_value(value);
}

void OnnxGraph::Write(const std::string& path) const {
  THIMBLE_CHECK(model_.ByteSizeLong() <= static_cast<size_t>(INT_MAX), path);
  WriteFileAtomically(path, [this](const Append& append) {
    FileStream file(append);
    bool whole = false;
    {
      google::protobuf::io::CopyingOutputStreamAdaptor stream(&file);
      whole = model_.SerializeToZeroCopyStream(&stream) && stream.Flush();
    }
    file.Rethrow();
    THIMBLE_CHECK(whole, "ONNX serialisation");
  });
}

}  // namespace thimble::models
