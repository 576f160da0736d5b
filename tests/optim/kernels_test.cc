// Every instruction set gives the bits of the plain form; the plain form is right.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>

#include "optim/kernels/kernels.h"
#include "tests/optim/numbers.h"

namespace thimble::optim {
namespace {

using Array = std::vector<float>;

Array Numbers(uint32_t key, int64_t n, bool positive = false) {
  Array array(n);
  for (int64_t i = 0; i < n; ++i) {
    const double x = Hashed(key, static_cast<uint32_t>(i));
    array[i] = static_cast<float>(positive ? std::fabs(x) + 1e-3 : x);
  }
  return array;
}

// Runs every kernel on n elements (or rows x columns of them) and returns all that they wrote. A guard behind
// each array is part of it: nothing may be written there.
Array RunAll(const Kernels& k, int64_t rows, int64_t columns) {
  const int64_t n = rows * columns, guard = 20;
  const Array g = Numbers(1, n + guard), row = Numbers(2, rows + guard, true),
              column = Numbers(3, columns + guard, true);
  Array all;
  const auto add = [&](const std::vector<Array>& arrays, double value = 0) {
    for (const Array& array : arrays) all.insert(all.end(), array.begin(), array.end());
    all.push_back(static_cast<float>(value));
  };
  Array m = Numbers(4, n + guard), v = Numbers(5, n + guard, true), p = Numbers(6, n + guard);
  Array row_sums = Numbers(7, rows + guard), column_sums = Numbers(8, columns + guard);
  Array state = row, weighted_sums = Numbers(9, columns + guard);
  k.square_sums(g.data(), rows, columns, 0.99f, 0.01f, 1e-30f, state.data(), column_sums.data(),
                weighted_sums.data());
  add({state, column_sums, weighted_sums});
  k.came_momentum(g.data(), rows, columns, row.data(), column.data(), 0.9f, 0.1f, m.data(), row_sums.data(),
                  column_sums.data());
  add({m, row_sums, column_sums});
  k.factored_move(m.data(), rows, columns, row.data(), column.data(), 0.01f, p.data());
  add({p});
  add({v}, k.second_moment(g.data(), n, 0.99f, 0.01f, 1e-30f, v.data()));
  k.moment_move(g.data(), n, v.data(), 0.5f, 0.9f, 0.1f, 0.01f, 0.125f, m.data(), p.data());
  add({m, p});
  k.root_move(g.data(), n, v.data(), 0.01f, 0.125f, p.data());
  add({p});
  const AdamRates adam = {0.9f, 0.1f, 0.99f, 0.01f, 0.25f, 0.999f, 0.1f, 1.5f, 1e-8f};
  k.adam(adam, g.data(), n, m.data(), v.data(), p.data());
  add({m, v, p});
  k.sgd(g.data(), n, 0.1f, 0.9f, 1, 0.9f, 0.01f, m.data(), p.data());
  add({m, p});
  const LambRates lamb = {0.9f, 0.1f, 0.99f, 0.01f, 10, 10, 1e-6f, 0.01f};
  add({m, v}, k.lamb_moments(lamb, g.data(), n, m.data(), v.data(), p.data()));
  k.lamb_move(lamb, m.data(), v.data(), n, 0.01f, p.data());
  add({p});
  k.scaled_momentum(g.data(), n, 0.9f, 0.1f, 2, 0.01f, m.data(), p.data());
  add({m, p}, k.squares(g.data(), n));
  k.scale(m.data(), n, 0.3f);
  k.clamp(p.data(), n, 0.25f);
  k.approach(v.data(), n, 0.1f, g.data());
  add({m, p, v});
  return all;
}

TEST(Kernels, EverySetGivesTheSameBits) {
  std::string names;
  for (const Kernels* kernels : RunnableKernels()) names += std::string(" ") + kernels->name;
  std::printf("run on this processor:%s\n", names.c_str());
  RecordProperty("sets", names);
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 7}, {2, 8}, {3, 15}, {5, 16}, {4, 17}, {7, 31}, {2, 33}, {64, 129}, {3, 2100}}) {
    const Array plain = RunAll(*RunnableKernels().front(), rows, columns);
    for (const float value : plain) ASSERT_TRUE(std::isfinite(value));
    for (const Kernels* kernels : RunnableKernels()) {
      const Array got = RunAll(*kernels, rows, columns);
      ASSERT_EQ(got.size(), plain.size());
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], plain[i]) << kernels->name << " at " << i << ", " << rows << " x " << columns;
    }
  }
}

TEST(Kernels, NothingIsWrittenBehindAnArray) {
  for (const Kernels* kernels : RunnableKernels())
    for (int64_t n = 1; n < 40; ++n) {
      Array x(n + 16, 3);
      kernels->scale(x.data(), n, 2);
      for (int64_t i = 0; i < n + 16; ++i) ASSERT_EQ(x[i], i < n ? 6 : 3) << kernels->name << ", " << n;
    }
}

TEST(Kernels, SumsAgreeWithDouble) {
  const int64_t rows = 37, columns = 211;
  const double beta = 0.9f, rest = 0.1f, epsilon = 0.25f;
  const Array g = Numbers(1, rows * columns), start = Numbers(2, rows, true);
  double squares = 0;
  std::vector<double> of_rows(rows), of_columns(columns), weighted(columns);
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < columns; ++j) sum += std::pow(g[i * columns + j], 2);
    of_rows[i] = beta * start[i] + rest * (sum / columns + epsilon);
    squares += sum;
    for (int64_t j = 0; j < columns; ++j) {
      of_columns[j] += std::pow(g[i * columns + j], 2);
      weighted[j] += std::pow(g[i * columns + j], 2) / of_rows[i];
    }
  }
  for (const Kernels* kernels : RunnableKernels()) {
    Array row = start, column_sums(columns), weighted_sums(columns);
    kernels->square_sums(g.data(), rows, columns, static_cast<float>(beta), static_cast<float>(rest),
                         static_cast<float>(epsilon), row.data(), column_sums.data(), weighted_sums.data());
    for (int64_t i = 0; i < rows; ++i) EXPECT_NEAR(row[i] / of_rows[i], 1, 1e-6);
    for (int64_t j = 0; j < columns; ++j) {
      EXPECT_NEAR(column_sums[j] / of_columns[j], 1, 1e-6);
      EXPECT_NEAR(weighted_sums[j] / weighted[j], 1, 1e-6);
    }
    EXPECT_NEAR(kernels->squares(g.data(), rows * columns) / squares, 1, 1e-12);
  }
}

}  // namespace
}  // namespace thimble::optim
