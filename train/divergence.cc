#include "train/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace thimble::train {
namespace {

double Kl(const double* teacher, const double* student, size_t count, size_t stride) {
  const auto log_sum = [&](const double* logits) {
    double most = -HUGE_VAL, sum = 0;
    for (size_t i = 0; i < count; ++i) most = std::max(most, logits[i * stride]);
    for (size_t i = 0; i < count; ++i) sum += std::exp(logits[i * stride] - most);
    return most + std::log(sum);
  };
  const double of_teacher = log_sum(teacher), of_student = log_sum(student);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const double p = teacher[i * stride] - of_teacher;
    sum += std::exp(p) * (p - (student[i * stride] - of_student));
  }
  return sum;
}

}  // namespace

std::vector<double> Divergences(const std::vector<std::vector<double>>& teacher,
                                const std::vector<std::vector<double>>& student, const models::Model& of) {
  THIMBLE_CHECK(teacher.size() == student.size(), "divergences of other rows");
  std::vector<double> all;
  const auto classes = static_cast<size_t>(of.classes);
  for (size_t row = 0; row < teacher.size(); ++row) {
    const auto &t = teacher[row], &s = student[row];
    if (of.head == models::TaskHead::kTokens) {
      double sum = 0;
      for (size_t c = 0; c < classes; ++c) sum += Kl(t.data() + c, s.data() + c, t.size() / classes, classes);
      all.push_back(sum / static_cast<double>(classes));
    } else if (classes == 1) {
      all.push_back((t[0] - s[0]) * (t[0] - s[0]));
    } else {
      all.push_back(Kl(t.data(), s.data(), classes, 1));
    }
  }
  return all;
}

}  // namespace thimble::train
