#include "distill/squared_error.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "base/parallel.h"
#include "distill/rows.h"

namespace thimble::distill {
namespace {

// Pairs a thread takes at a time. Sums are added in this order whatever the number of threads.
constexpr size_t kChunk = 256;

template <typename Body>
void ForChunks(size_t pairs, const Body& body) {
  ParallelFor((pairs + kChunk - 1) / kChunk, at::get_num_threads(),
              [&](size_t chunk) { body(chunk, chunk * kChunk, std::min(pairs, (chunk + 1) * kChunk)); });
}

// Rows of a float32 or bfloat16 matrix as float32.
class RowReader {
 public:
  explicit RowReader(const at::Tensor& matrix) : columns_(matrix.size(1)) {
    if (matrix.scalar_type() == at::kFloat) {
      floats_ = matrix.const_data_ptr<float>();
    } else {
      halves_ = matrix.const_data_ptr<at::BFloat16>();
      scratch_.resize(columns_);
    }
  }
  const float* Row(int64_t row) {
    if (floats_ != nullptr) return floats_ + row * columns_;
    Widen(halves_ + row * columns_, columns_, scratch_.data());
    return scratch_.data();
  }

 private:
  int64_t columns_;
  const float* floats_ = nullptr;
  const at::BFloat16* halves_ = nullptr;
  std::vector<float> scratch_;
};

// Autograd keeps what it holds as an intrusive pointer.
struct RowsHolder : torch::CustomClassHolder {
  explicit RowsHolder(std::shared_ptr<const RowPairs> rows) : rows(std::move(rows)) {}
  std::shared_ptr<const RowPairs> rows;
};

class SquaredErrorFunction : public torch::autograd::Function<SquaredErrorFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& student,
                            const at::Tensor& teacher, const c10::intrusive_ptr<RowsHolder>& holder) {
    context->save_for_backward({student, teacher});
    context->saved_data["rows"] = c10::IValue::make_capsule(holder);
    const auto& pairs = holder->rows->pairs;
    const int64_t columns = student.size(1);
    const float* weights = holder->rows->weights.const_data_ptr<float>();
    std::vector<double> parts((pairs.size() + kChunk - 1) / kChunk);
    ForChunks(pairs.size(), [&](size_t chunk, size_t first, size_t end) {
      RowReader of_student(student), of_teacher(teacher);
      double sum = 0;
      for (size_t i = first; i < end; ++i)
        sum += WeightedSquares(of_student.Row(pairs[i].student), of_teacher.Row(pairs[i].teacher),
                               weights + pairs[i].weight * columns, columns);
      parts[chunk] = sum;
    });
    double sum = 0;
    for (const double part : parts) sum += part;
    return at::scalar_tensor(sum, at::kFloat);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &student = saved[0], &teacher = saved[1];
    const auto holder =
        c10::static_intrusive_pointer_cast<RowsHolder>(context->saved_data["rows"].toCapsule());
    const auto& pairs = holder->rows->pairs;
    const int64_t columns = student.size(1);
    const float* weights = holder->rows->weights.const_data_ptr<float>();
    const float scale = 2 * gradients[0].item<float>();
    const bool every_row = pairs.size() == static_cast<size_t>(student.size(0));
    const at::Tensor out = every_row ? at::empty_like(student) : at::zeros_like(student);
    const bool widened = out.scalar_type() != at::kFloat;
    ForChunks(pairs.size(), [&](size_t, size_t first, size_t end) {
      RowReader of_student(student), of_teacher(teacher);
      std::vector<float> scratch(widened ? columns : 0);
      for (size_t i = first; i < end; ++i) {
        const int64_t row = pairs[i].student;
        float* difference = widened ? scratch.data() : out.data_ptr<float>() + row * columns;
        WeightedDifference(of_student.Row(row), of_teacher.Row(pairs[i].teacher),
                           weights + pairs[i].weight * columns, scale, columns, difference);
        if (widened) Narrow(difference, columns, out.data_ptr<at::BFloat16>() + row * columns);
      }
    });
    return {out, at::Tensor(), at::Tensor()};
  }
};

at::Tensor Readable(const at::Tensor& matrix) {
  const auto type = matrix.scalar_type();
  return (type == at::kFloat || type == at::kBFloat16 ? matrix : matrix.to(at::kFloat)).contiguous();
}

}  // namespace

at::Tensor SquaredError(const at::Tensor& student, const at::Tensor& teacher,
                        std::shared_ptr<const RowPairs> rows) {
  THIMBLE_CHECK(student.dim() == 2 && teacher.dim() == 2 && student.size(1) == teacher.size(1) &&
                    student.size(1) == rows->weights.size(1),
                "rows of different width");
  return SquaredErrorFunction::apply(Readable(student), Readable(teacher.detach()),
                                     c10::make_intrusive<RowsHolder>(std::move(rows)));
}

}  // namespace thimble::distill
