// What a further phase of distillation goes on with: the projections to the teacher's width, and a head for
// masked tokens. They lie beside the model, in training.safetensors, and are no part of it.
#pragma once
#include <optional>
#include <string>

#include "base/random.h"
#include "models/hub/pretrained.h"

namespace thimble::train {

// Adds the projections to the model and returns the head; nothing where there is none. Error (exit 2) if they
// are not of this model's states.
models::Weights ReadTrainingWeights(const std::string& directory, models::Model* model);
void WriteTrainingWeights(const models::Model& model, const std::string& directory);

// The model with the projection that lies beside it; nothing where there is none.
std::optional<models::Model> Taught(const models::Pretrained& pretrained);
// Lets the projection of a student that was cut out of a taught one lead on through that one's, to the width
// of the teacher of both.
void ProjectThrough(const models::Model& taught, models::Model* student);

// A projection to another width, drawn at random, in place of those that are there.
void NewProjection(int teacher_hidden, const Random& random, models::Model* model);

}  // namespace thimble::train
