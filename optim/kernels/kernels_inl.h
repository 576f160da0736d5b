// The maths of kernels.h over a Pack of 16 floats. Each of plain.cc, avx2.cc and avx512.cc includes it after
// its own pack; everything is in an unnamed namespace and nothing of the standard library is called, so that
// no function compiled for one processor is linked into the code for another.
#include "optim/kernels/kernels.h"

namespace thimble::optim {
namespace {

constexpr int64_t kLanes = 16;
// Floats between what is read and what is fetched ahead of it: 3 KiB. The processor's own fetching stops at
// the end of a page of 4 KiB, and a stream needs this much under way to fill the time that memory takes to
// answer (2, 3 and 4 KiB were measured).
constexpr int64_t kAhead = 768;
// Elements whose squares are summed in float32 before they go into a double.
constexpr int64_t kRun = 1024;

inline void Fetch(const float* p) { __builtin_prefetch(p + kAhead, 0, 2); }

struct WholePack {
  Pack Get(const float* p) const { return Load(p); }
  void Put(float* p, const Pack& a) const { Store(p, a); }
};
struct PartPack {
  int64_t n;
  Pack Get(const float* p) const { return LoadPart(p, n); }
  void Put(float* p, const Pack& a) const { StorePart(p, a, n); }
};

// body(first element, WholePack or PartPack)
template <typename Body>
inline __attribute__((always_inline)) void Each(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, WholePack{});
  if (i < n) body(i, PartPack{n - i});
}

// Sum over runs of the pack that body(first element, pack form) returns.
template <typename Body>
inline __attribute__((always_inline)) double EachSum(int64_t n, const Body& body) {
  double total = 0;
  for (int64_t first = 0; first < n; first += kRun) {
    Pack sum = All(0);
    Each(n - first < kRun ? n - first : kRun, [&](int64_t i, auto io) { sum = sum + body(first + i, io); });
    total += Sum(sum);
  }
  return total;
}

// body(first row, rows between it and the next one, Count<rows>): kMost rows at a time, which share the work
// on their columns. They lie a kMost-th of all rows apart, so that each is part of a long stream of its own:
// memory answers several streams faster than one, and faster than streams that jump at the end of every row.
template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
template <int kMost, typename Rows>
inline __attribute__((always_inline)) void RowGroups(int64_t rows, const Rows& body) {
  const int64_t apart = rows / kMost;
  for (int64_t i = 0; i < apart; ++i) body(i, apart, Count<kMost>{});
  for (int64_t i = apart * kMost; i < rows; ++i) body(i, 1, Count<1>{});
}

void SquareSums(const float* g, int64_t rows, int64_t columns, float beta, float rest, float epsilon,
                float* row, float* column_sums, float* weighted_sums) {
  constexpr float kLeast = 1e-38f;  // the inverse of what is smaller overflows
  RowGroups<4>(rows, [&](int64_t i, int64_t apart, auto count) {
    constexpr int kRows = decltype(count)::value;
    Pack sum[kRows], weight[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = All(0);
    Each(columns, [&](int64_t j, auto io) {
      for (int r = 0; r < kRows; ++r) {
        const Pack value = io.Get(g + (i + r * apart) * columns + j);
        sum[r] = sum[r] + value * value;
      }
    });
    for (int r = 0; r < kRows; ++r) {
      float& state = row[i + r * apart];
      state = beta * state + rest * (Sum(sum[r]) / static_cast<float>(columns) + epsilon);
      weight[r] = All(1 / (state > kLeast ? state : kLeast));
    }
    // These rows are in the innermost cache now; the next ones are fetched into it.
    Each(columns, [&](int64_t j, auto io) {
      Pack column = io.Get(column_sums + j), weighted = io.Get(weighted_sums + j);
      for (int r = 0; r < kRows; ++r) {
        const float* x = g + (i + r * apart) * columns + j;
        __builtin_prefetch(x + columns, 0, 3);
        const Pack value = io.Get(x), square = value * value;
        column = column + square;
        weighted = weighted + square * weight[r];
      }
      io.Put(column_sums + j, column);
      io.Put(weighted_sums + j, weighted);
    });
  });
}

void CameMomentum(const float* g, int64_t rows, int64_t columns, const float* row, const float* column,
                  float beta, float rest, float* momentum, float* row_sums, float* column_sums) {
  const Pack old = All(beta), fresh = All(rest);
  RowGroups<2>(rows, [&](int64_t i, int64_t apart, auto count) {
    constexpr int kRows = decltype(count)::value;
    Pack sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = All(0);
    Each(columns, [&](int64_t j, auto io) {
      const Pack scale = io.Get(column + j);
      Pack column_sum = io.Get(column_sums + j);
      for (int r = 0; r < kRows; ++r) {
        const int64_t at = (i + r * apart) * columns + j;
        Fetch(momentum + at);
        const Pack update = io.Get(g + at) * scale * All(row[i + r * apart]);
        const Pack moved = old * io.Get(momentum + at) + fresh * update;
        io.Put(momentum + at, moved);
        const Pack residual = update - moved, square = residual * residual;
        sum[r] = sum[r] + square;
        column_sum = column_sum + square;
      }
      io.Put(column_sums + j, column_sum);
    });
    for (int r = 0; r < kRows; ++r) row_sums[i + r * apart] = Sum(sum[r]);
  });
}

void FactoredMove(const float* m, int64_t rows, int64_t columns, const float* row, const float* column,
                  float decay, float* p) {
  const Pack lost = All(decay);
  RowGroups<2>(rows, [&](int64_t i, int64_t apart, auto count) {
    constexpr int kRows = decltype(count)::value;
    Each(columns, [&](int64_t j, auto io) {
      const Pack scale = io.Get(column + j);
      for (int r = 0; r < kRows; ++r) {
        const int64_t at = (i + r * apart) * columns + j;
        Fetch(p + at);
        const Pack value = io.Get(p + at);
        io.Put(p + at, (value - lost * value) - io.Get(m + at) * scale * All(row[i + r * apart]));
      }
    });
  });
}

double SecondMoment(const float* g, int64_t n, float beta, float rest, float epsilon, float* v) {
  const Pack old = All(beta), fresh = All(rest), floor = All(epsilon);
  return EachSum(n, [&](int64_t i, auto io) {
    const Pack value = io.Get(g + i);
    const Pack moment = old * io.Get(v + i) + fresh * (value * value + floor);
    io.Put(v + i, moment);
    const Pack update = value / Root(moment);
    return update * update;
  });
}

void MomentMove(const float* g, int64_t n, const float* v, float scale, float beta, float rest, float decay,
                float rate, float* m, float* p) {
  const Pack by = All(scale), old = All(beta), fresh = All(rest), lost = All(decay), speed = All(rate);
  Each(n, [&](int64_t i, auto io) {
    // Dead lanes of a part hold 0 / 0; they are not stored.
    const Pack moved = old * io.Get(m + i) + fresh * (io.Get(g + i) / Root(io.Get(v + i)) * by);
    io.Put(m + i, moved);
    const Pack value = io.Get(p + i);
    io.Put(p + i, (value - lost * value) - speed * moved);
  });
}

void RootMove(const float* g, int64_t n, const float* v, float decay, float rate, float* p) {
  const Pack lost = All(decay), speed = All(rate);
  Each(n, [&](int64_t i, auto io) {
    const Pack value = io.Get(p + i);
    io.Put(p + i, (value - lost * value) - speed * (io.Get(g + i) / Root(io.Get(v + i))));
  });
}

void Adam(const AdamRates& r, const float* g, int64_t n, float* m, float* v, float* p) {
  const Pack beta1 = All(r.beta1), rest1 = All(r.rest1), beta2 = All(r.beta2), rest2 = All(r.rest2);
  const Pack couple = All(r.couple), keep = All(r.keep), rate = All(r.rate);
  const Pack correction = All(r.correction2), epsilon = All(r.epsilon);
  Each(n, [&](int64_t i, auto io) {
    Fetch(g + i);
    Fetch(m + i);
    Fetch(v + i);
    Fetch(p + i);
    const Pack value = io.Get(p + i), gradient = io.Get(g + i) + couple * value;
    const Pack first = beta1 * io.Get(m + i) + rest1 * gradient;
    const Pack second = beta2 * io.Get(v + i) + rest2 * gradient * gradient;
    io.Put(m + i, first);
    io.Put(v + i, second);
    io.Put(p + i, keep * value - rate * first / (Root(second) * correction + epsilon));
  });
}

void Sgd(const float* g, int64_t n, float couple, float momentum, float nesterov, float look, float rate,
         float* m, float* p) {
  const Pack lost = All(couple), old = All(momentum), now = All(nesterov), ahead = All(look),
             speed = All(rate);
  Each(n, [&](int64_t i, auto io) {
    const Pack value = io.Get(p + i), gradient = io.Get(g + i) + lost * value;
    const Pack moved = old * io.Get(m + i) + gradient;
    io.Put(m + i, moved);
    io.Put(p + i, value - speed * (now * gradient + ahead * moved));
  });
}

inline Pack LambStep(const LambRates& r, const Pack& first, const Pack& second, const Pack& value) {
  return first * All(r.correction1) / (Root(second) * All(r.correction2) + All(r.epsilon)) +
         All(r.decay) * value;
}

double LambMoments(const LambRates& r, const float* g, int64_t n, float* m, float* v, const float* p) {
  const Pack beta1 = All(r.beta1), rest1 = All(r.rest1), beta2 = All(r.beta2), rest2 = All(r.rest2);
  return EachSum(n, [&](int64_t i, auto io) {
    const Pack gradient = io.Get(g + i);
    const Pack first = beta1 * io.Get(m + i) + rest1 * gradient;
    const Pack second = beta2 * io.Get(v + i) + rest2 * gradient * gradient;
    io.Put(m + i, first);
    io.Put(v + i, second);
    const Pack step = LambStep(r, first, second, io.Get(p + i));
    return step * step;
  });
}

void LambMove(const LambRates& r, const float* m, const float* v, int64_t n, float rate, float* p) {
  const Pack speed = All(rate);
  Each(n, [&](int64_t i, auto io) {
    const Pack value = io.Get(p + i);
    io.Put(p + i, value - speed * LambStep(r, io.Get(m + i), io.Get(v + i), value));
  });
}

void ScaledMomentum(const float* g, int64_t n, float beta, float rest, float scale, float decay, float* m,
                    float* p) {
  const Pack old = All(beta), fresh = All(rest), by = All(scale), lost = All(decay);
  Each(n, [&](int64_t i, auto io) {
    const Pack moved = old * io.Get(m + i) + fresh * io.Get(g + i), value = io.Get(p + i);
    io.Put(m + i, moved);
    io.Put(p + i, (value - lost * value) - by * moved);
  });
}

double Squares(const float* x, int64_t n) {
  DoublePack sums = DoubleZero();
  Each(n, [&](int64_t i, auto io) {
    Fetch(x + i);
    AddSquares(&sums, io.Get(x + i));
  });
  return Sum(sums);
}

void Scale(float* x, int64_t n, float by) {
  const Pack factor = All(by);
  Each(n, [&](int64_t i, auto io) { io.Put(x + i, io.Get(x + i) * factor); });
}

void Clamp(float* x, int64_t n, float limit) {
  const Pack high = All(limit), low = All(-limit);
  Each(n, [&](int64_t i, auto io) { io.Put(x + i, Most(low, Least(high, io.Get(x + i)))); });
}

void Approach(float* average, int64_t n, float share, const float* x) {
  const Pack part = All(share);
  Each(n, [&](int64_t i, auto io) {
    const Pack old = io.Get(average + i);
    io.Put(average + i, old + part * (io.Get(x + i) - old));
  });
}

// Constant initialisation: no code for a newer processor runs before the choice.
constexpr Kernels MakeKernels(const char* name) {
  return {.name = name,
          .square_sums = SquareSums,
          .came_momentum = CameMomentum,
          .factored_move = FactoredMove,
          .second_moment = SecondMoment,
          .moment_move = MomentMove,
          .root_move = RootMove,
          .adam = Adam,
          .sgd = Sgd,
          .lamb_moments = LambMoments,
          .lamb_move = LambMove,
          .scaled_momentum = ScaledMomentum,
          .squares = Squares,
          .scale = Scale,
          .clamp = Clamp,
          .approach = Approach};
}

}  // namespace
}  // namespace thimble::optim
