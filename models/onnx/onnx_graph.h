// An ONNX graph under construction: names, initializers, file. What the nodes mean is onnx.cc's business.
#pragma once
#include <ATen/core/Tensor.h>
#include <onnx/onnx_pb.h>

#include <map>
#include <string>
#include <vector>

namespace thimble::models {

onnx::AttributeProto IntAttribute(const std::string& name, int64_t value);
onnx::AttributeProto IntsAttribute(const std::string& name, const std::vector<int64_t>& values);
onnx::AttributeProto FloatAttribute(const std::string& name, float value);

// Calls in the order in which the values flow: ONNX wants nodes sorted topologically.
class OnnxGraph {
 public:
  explicit OnnxGraph(const std::string& name);

  // A dimension is a number, or a name where it is dynamic.
  struct Dimension {
    Dimension(int64_t value) : value(value) {}                       // NOLINT(google-explicit-constructor)
    Dimension(const char* dynamic) : value(-1), dynamic(dynamic) {}  // NOLINT(google-explicit-constructor)
    int64_t value;
    std::string dynamic;
  };
  using Dimensions = std::vector<Dimension>;
  std::string Input(const std::string& name, onnx::TensorProto::DataType type, const Dimensions& dimensions);
  // The last node's value becomes the graph's output under `name`.
  void Output(const std::string& name, onnx::TensorProto::DataType type, const Dimensions& dimensions);

  // States the dimensions of a value that shape inference cannot find: runtimes fuse what they know to fit.
  void State(const std::string& value, onnx::TensorProto::DataType type, const Dimensions& dimensions);

  // Adds a node with one output and returns the output's name, "SCOPE/TYPE", numbered when it is taken.
  std::string Node(const std::string& type, const std::string& scope, const std::vector<std::string>& inputs,
                   const std::vector<onnx::AttributeProto>& attributes = {});

  // The same with `count` outputs.
  std::vector<std::string> Nodes(const std::string& type, const std::string& scope,
                                 const std::vector<std::string>& inputs, int count);

  // Initializers. Each returns its name; a constant that is there already is used again.
  std::string Weight(const std::string& name, const at::Tensor& tensor);  // any shape; int8, uint8 or float32
  std::string Integers(const std::vector<int64_t>& values);               // int64 [values.size()]
  std::string Integer(int64_t value);                                     // int64 scalar
  std::string Float(float value);                                         // float32 scalar

  void AddMetadata(const std::string& key, const std::string& value);

  // Atomic. CHECK: below protobuf's 2 GiB.
  void Write(const std::string& path) const;

 private:
  onnx::NodeProto* AddNode(const std::string& type, const std::string& scope,
                           const std::vector<std::string>& inputs);
  onnx::TensorProto* AddInitializer(const std::string& name, onnx::TensorProto::DataType type);

  onnx::ModelProto model_;
  std::map<std::string, int> uses_;  // of a node name, and of an initializer's
};

}  // namespace thimble::models
