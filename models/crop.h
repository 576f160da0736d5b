// A student that begins with parts of a larger model, without a fit and without data: published warm-ups by
// name. docs/distillation.md says which system takes which; the sliced start (distill/start) is what works
// untrained.
#pragma once
#include <string>
#include <vector>

#include "models/model.h"

namespace thimble::models {

// Which layers of the larger model a student's layer begins as; T layers there, S in the student.
enum class LayerRule {
  kFirst,     // layer i: layer i
  kUniform,   // layer i, from 1: layer i * T / S, as layer maps of distillation
  kDoubled,   // layers 2 i and 2 i + 1: layer i, each its own copy (EfficientBERT++)
  kAveraged,  // the mean of layers i * T / S up to (i + 1) * T / S, weight by weight
};
enum class TokenRule {
  kFirst,  // the first columns, or all of a table that is narrow already
  kPca,    // of a plain table: its principal components become the narrow table, their directions the
           // projection
};
// Rules by the names that a user writes: "first", "uniform", "doubled", "averaged"; "first", "pca". Error for
// another.
LayerRule LayerRuleOf(const std::string& name);
TokenRule TokenRuleOf(const std::string& name);

struct CropRules {
  LayerRule layers = LayerRule::kFirst;
  TokenRule tokens = TokenRule::kFirst;
};

// The part that a smaller model has of a weight: its first entries, of columns in several parts the first of
// each, of groups as LinearForm says, of taps the middle ones. CHECK: it is no larger.
at::Tensor PartOf(const at::Tensor& larger, const WeightShape& weight);

// Layers of the larger model, from 0, that layer `layer` of the student is the mean of.
std::vector<int> Ancestors(LayerRule rule, int layer, int student_layers, int larger_layers);

// A student with the first entries of every weight along each axis; the first stacks of a layer. A trigram
// embedding's projection keeps the first columns of each of its three parts. Heads are not looked at, as
// EfficientBERT's code does not: of 12 heads 45 wide the first 360 rows become 12 heads 30 wide, so that a
// head gets the rows of its neighbours, and the model has to be taught before it is of use. Pooler, head and
// fit_dense come along, fit_dense.S with the layer whose output state S is. Error (exit 2) where the student
// is larger, or differs in what cannot be cropped: vocabulary, heads, norm, kind of embedding or bottleneck.
Model CropFrom(const Model& larger, const proto::Architecture& student, const CropRules& rules);

// Every layer twice, expressions likewise.
proto::Architecture Doubled(const proto::Architecture& architecture);

}  // namespace thimble::models
