#include "optim/cuda/optimizer.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/config.h"
#include "base/error.h"
#include "optim/adam.h"
#include "optim/cuda/device.h"
#include "optim/cuda/kernels.h"
#include "optim/factors.h"
#include "proto/optimizer.pb.h"

namespace thimble::optim::cuda {
namespace {

constexpr int64_t kRows = 64, kChunks = 128;  // of a matrix: rows of a chunk at least, chunks about at most
constexpr int64_t kElements = 8192;           // of a chunk without factors
constexpr int64_t kAligned = 64;              // floats between the beginnings of states, in whole cache lines

// State tensors and scratch in one piece of memory.
class States {
 public:
  // The place is a number of floats from the beginning until Allocate.
  int64_t Add(const std::string& name, int64_t elements) {
    names_.push_back({name, size_, elements});
    const int64_t at = size_;
    size_ += (elements + kAligned - 1) / kAligned * kAligned;
    return at;
  }
  void Allocate() { memory_ = std::make_unique<Array<float>>(static_cast<size_t>(size_)); }
  float* At(int64_t place) const { return memory_->get() + place; }

  DeviceOptimizer::NamedNumbers Read() const {
    DeviceOptimizer::NamedNumbers all;
    for (const auto& [name, at, elements] : names_) {
      if (name.empty()) continue;
      auto& numbers = all.emplace_back(name, std::vector<float>(static_cast<size_t>(elements))).second;
      Download(At(at), numbers.size() * sizeof(float), numbers.data(), nullptr);
    }
    return all;
  }
  void Write(const DeviceOptimizer::NamedNumbers& given) {
    const std::map<std::string, std::vector<float>> state(given.begin(), given.end());
    for (const auto& [name, at, elements] : names_) {
      if (name.empty()) continue;
      const auto found = state.find(name);
      THIMBLE_CHECK(found != state.end(), "the state lacks " + name);
      THIMBLE_CHECK(static_cast<int64_t>(found->second.size()) == elements,
                    "the state has another size for " + name);
      Upload(found->second.data(), found->second.size() * sizeof(float), At(at), nullptr);
    }
  }

 private:
  struct Named {
    std::string name;  // empty: scratch
    int64_t at, elements;
  };
  std::vector<Named> names_;
  int64_t size_ = 0;
  std::unique_ptr<Array<float>> memory_;
};

// Tensors, chunks and memory; the rules add how a step is taken.
class Rule : public DeviceOptimizer {
 public:
  NamedNumbers State() const override { return states_.Read(); }
  void LoadState(const NamedNumbers& state) override { states_.Write(state); }
  void Step(double factor, const std::vector<const float*>& gradients, void* stream) override {
    THIMBLE_CHECK(gradients.size() == parameters_.size(), std::to_string(gradients.size()));
    std::vector<Update> updates;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const auto& parameter = parameters_[i];
      const double rate = rate_ * factor * parameter.rate_factor;
      const double decay = parameter.weight_decay >= 0 ? parameter.weight_decay
                           : parameter.decay           ? decay_
                                                       : 0;
      Update& update = updates.emplace_back(Update{.rate = rate, .decay = rate * decay});
      if (parameter.rate_factor > 0 && tensors_[i].elements > 0) update.gradient = gradients[i];
      if (update.gradient != nullptr) Prepare(i, decay, &update);
    }
    updates_->Set(updates, stream);
    Run({.tensors = device_tensors_->get(),
         .chunks = chunks_->get(),
         .updates = updates_->get(),
         .tensor_count = static_cast<int>(tensors_.size()),
         .chunk_count = chunk_count_,
         .parts = parts_->get(),
         .row_means = row_means_->get(),
         .clips = clips_->get()},
        stream);
  }

 protected:
  Rule(std::vector<DeviceParameter> parameters, double rate, double decay)
      : parameters_(std::move(parameters)), rate_(rate), decay_(decay), tensors_(parameters_.size()) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      tensors_[i].value = parameters_[i].value;
      tensors_[i].elements = c10::multiply_integers(parameters_[i].sizes);
    }
  }
  virtual void Prepare(size_t parameter, double decay, Update* update) {}
  virtual void Run(const Plan& plan, void* stream) = 0;

  // Adds a state tensor; the pointer is set by Finish.
  void AddState(size_t parameter, const char* name, int64_t elements, float* Tensor::*pointer) {
    const std::string full = *name == 0 ? "" : parameters_[parameter].name + "/" + name;
    pointers_.push_back({parameter, pointer, states_.Add(full, elements)});
  }
  // A state of one number that the host keeps; LoadState and State read it where it lies.
  int64_t AddCount(size_t parameter, const char* name) {
    return states_.Add(parameters_[parameter].name + "/" + name, 1);
  }

  // Call when all states have been added.
  void Finish() {
    states_.Allocate();
    for (const auto& [parameter, pointer, place] : pointers_)
      tensors_[parameter].*pointer = states_.At(place);
    std::vector<Chunk> chunks;
    int64_t parts = 0, matrices = 0;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      Tensor& tensor = tensors_[i];
      tensor.first_matrix = matrices;
      tensor.first_chunk = static_cast<int64_t>(chunks.size());
      const bool factored = tensor.columns > 0;
      const int64_t count = factored ? tensor.rows : tensor.elements;
      const int64_t step =
          factored ? std::min(kMostRows, kRows * ((count + kRows * kChunks - 1) / (kRows * kChunks)))
                   : kElements;
      tensor.chunks_of_matrix = (count + step - 1) / step;
      for (int64_t matrix = 0; matrix < (factored ? tensor.matrices : 1); ++matrix)
        for (int64_t first = 0; first < count; first += step) {
          chunks.push_back({static_cast<int64_t>(i), matrix, first, std::min(step, count - first), parts});
          parts += factored ? 2 * tensor.columns : 1;
        }
      matrices += tensor.matrices;
    }
    chunk_count_ = static_cast<int>(chunks.size());
    device_tensors_ = std::make_unique<Array<Tensor>>(tensors_);
    chunks_ = std::make_unique<Array<Chunk>>(chunks);
    updates_ = std::make_unique<Array<Update>>(tensors_.size());
    parts_ = std::make_unique<Array<double>>(static_cast<size_t>(parts));
    row_means_ = std::make_unique<Array<double>>(static_cast<size_t>(matrices));
    clips_ = std::make_unique<Array<float>>(tensors_.size());
  }

  const std::vector<DeviceParameter> parameters_;
  const double rate_, decay_;
  std::vector<Tensor> tensors_;
  States states_;

 private:
  struct Pointer {
    size_t parameter;
    float* Tensor::*pointer;
    int64_t place;
  };
  std::vector<Pointer> pointers_;
  int chunk_count_ = 0;
  std::unique_ptr<Array<Tensor>> device_tensors_;
  std::unique_ptr<Array<Chunk>> chunks_;
  std::unique_ptr<Array<Update>> updates_;
  std::unique_ptr<Array<double>> parts_, row_means_;
  std::unique_ptr<Array<float>> clips_;
};

class Came final : public Rule {
 public:
  Came(const proto::Came& spec, std::vector<DeviceParameter> parameters)
      : Rule(std::move(parameters), spec.learning_rate(), spec.weight_decay()),
        rates_{.beta1 = static_cast<float>(spec.beta1()),
               .beta2 = static_cast<float>(spec.beta2()),
               .beta3 = static_cast<float>(spec.beta3()),
               .rest1 = static_cast<float>(1 - spec.beta1()),
               .rest2 = static_cast<float>(1 - spec.beta2()),
               .rest3 = static_cast<float>(1 - spec.beta3()),
               .epsilon1 = static_cast<float>(spec.epsilon1()),
               .epsilon2 = static_cast<float>(spec.epsilon2()),
               .clip_threshold = spec.clip_threshold()} {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      AddState(i, "momentum", tensors_[i].elements, &Tensor::momentum);
      const auto matrices = FindMatrices(parameters_[i].sizes, spec.factoring() == proto::LAST_DIMENSIONS);
      if (matrices.count == 0) {
        AddState(i, "second_moment", tensors_[i].elements, &Tensor::second);
        continue;
      }
      tensors_[i].matrices = matrices.count;
      tensors_[i].rows = matrices.shape.rows;
      tensors_[i].columns = matrices.shape.columns;
      const int64_t rows = matrices.count * matrices.shape.rows,
                    columns = matrices.count * matrices.shape.columns;
      AddState(i, "row", rows, &Tensor::row);
      AddState(i, "column", columns, &Tensor::column);
      AddState(i, "residual_row", rows, &Tensor::residual_row);
      AddState(i, "residual_column", columns, &Tensor::residual_column);
      AddState(i, "", columns, &Tensor::column_factors);
    }
    Finish();
  }

 protected:
  void Run(const Plan& plan, void* stream) override { CameStep(plan, rates_, stream); }

 private:
  const CameRates rates_;
};

class Adam final : public Rule {
 public:
  Adam(const AdamOptions& options, std::vector<DeviceParameter> parameters)
      : Rule(std::move(parameters), options.learning_rate, options.weight_decay), options_(options) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      AddState(i, "first_moment", tensors_[i].elements, &Tensor::momentum);
      AddState(i, "second_moment", tensors_[i].elements, &Tensor::second);
      counts_.push_back(AddCount(i, "steps"));
    }
    Finish();
    steps_.resize(parameters_.size());
  }

  NamedNumbers State() const override {
    for (size_t i = 0; i < steps_.size(); ++i)
      Upload(&steps_[i], sizeof(float), states_.At(counts_[i]), nullptr);
    return Rule::State();
  }
  void LoadState(const NamedNumbers& state) override {
    Rule::LoadState(state);
    for (size_t i = 0; i < steps_.size(); ++i)
      Download(states_.At(counts_[i]), sizeof(float), &steps_[i], nullptr);
  }

 protected:
  void Prepare(size_t parameter, double decay, Update* update) override {
    steps_[parameter] += 1;  // exact in float32 up to 16 million
    update->adam = RatesAt(options_, steps_[parameter], update->rate, decay);
  }
  void Run(const Plan& plan, void* stream) override { AdamStep(plan, stream); }

 private:
  const AdamOptions options_;
  std::vector<float> steps_;
  std::vector<int64_t> counts_;
};

}  // namespace

std::unique_ptr<DeviceOptimizer> MakeDeviceOptimizer(const proto::Optimizer& spec,
                                                     std::vector<DeviceParameter> parameters) {
  Validate(spec, "optimizer");
  const auto refuse = [](bool given, const char* field) {
    if (given)
      throw BadRequest(std::string("optimizer.") + field, "has no form for a GPU", "", "a rule alone");
  };
  refuse(spec.has_sam(), "sam");
  refuse(spec.has_average(), "average");
  refuse(spec.clip_value() > 0, "clip_value");
  refuse(spec.group_size() > 0, "group");
  refuse(spec.has_layer_decay() && spec.layer_decay() != 1, "layer_decay");
  if (!DeviceFound()) throw WorkFailed("CUDA", "no GPU was found");
  if (spec.has_came()) return std::make_unique<Came>(spec.came(), std::move(parameters));
  if (spec.has_adamw()) return std::make_unique<Adam>(OptionsOf(spec.adamw()), std::move(parameters));
  if (spec.has_adam()) return std::make_unique<Adam>(OptionsOf(spec.adam()), std::move(parameters));
  throw BadRequest("optimizer", "the rule has no form for a GPU", "", "came, adam, adamw");
}

}  // namespace thimble::optim::cuda
