// Which of the teacher's layers each of the student's learns from.
#pragma once
#include <vector>

namespace thimble::proto {
class Objective;
}

namespace thimble::distill {

// Teacher layer (from 1) for each student layer; empty `chosen`: uniform, i * teacher / student. Error if the
// uniform map needs a teacher depth that is no multiple of the student's (names the two and the explicit
// list), or a listed layer does not exist.
std::vector<int> LayerMap(int student_layers, int teacher_layers, const std::vector<int>& chosen);
// By the objective's list, else by its rule; an Error as well if the first or last layers are more than the
// teacher has.
std::vector<int> LayerMapOf(const proto::Objective& objective, int student_layers, int teacher_layers);

// The same; empty if the objective says nothing (no list, rule UNIFORM), which the sliced start takes for
// evenly spread whatever the depths.
std::vector<int> StatedLayers(const proto::Objective& objective, int student_layers, int teacher_layers);
// Rule NEAREST: i * teacher / student rounded to the nearest, at least 1, for any two depths. Layers may
// repeat.
std::vector<int> NearestLayers(int student_layers, int teacher_layers);

}  // namespace thimble::distill
