// 16 floats and what the kernels do with them; plain C++. For kernels_inl.h, whose other forms are
// pack_avx2.h and pack_avx512.h.
#pragma once
#include <cstdint>

namespace thimble::optim {
namespace {

struct Pack {
  float x[16];
};

template <typename Operation>
inline Pack Lanes(Operation operation) {
  Pack result;
  for (int i = 0; i < 16; ++i) result.x[i] = operation(i);
  return result;
}

inline Pack Load(const float* p) {
  return Lanes([&](int i) { return p[i]; });
}
inline Pack LoadPart(const float* p, int64_t n) {  // the first n; the rest 0
  return Lanes([&](int i) { return i < n ? p[i] : 0.0f; });
}
inline void Store(float* p, const Pack& a) {
  for (int i = 0; i < 16; ++i) p[i] = a.x[i];
}
inline void StorePart(float* p, const Pack& a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = a.x[i];
}
inline Pack All(float value) {
  return Lanes([&](int) { return value; });
}
inline Pack operator+(const Pack& a, const Pack& b) {
  return Lanes([&](int i) { return a.x[i] + b.x[i]; });
}
inline Pack operator-(const Pack& a, const Pack& b) {
  return Lanes([&](int i) { return a.x[i] - b.x[i]; });
}
inline Pack operator*(const Pack& a, const Pack& b) {
  return Lanes([&](int i) { return a.x[i] * b.x[i]; });
}
inline Pack operator/(const Pack& a, const Pack& b) {
  return Lanes([&](int i) { return a.x[i] / b.x[i]; });
}
inline Pack Root(const Pack& a) {
  return Lanes([&](int i) { return __builtin_sqrtf(a.x[i]); });
}
// The smaller and the larger; the second if one is NaN, as the processor's instructions.
inline Pack Least(const Pack& a, const Pack& b) {
  return Lanes([&](int i) { return a.x[i] < b.x[i] ? a.x[i] : b.x[i]; });
}
inline Pack Most(const Pack& a, const Pack& b) {
  return Lanes([&](int i) { return a.x[i] > b.x[i] ? a.x[i] : b.x[i]; });
}
// Lanes 8 apart first, then 4, 2 and 1.
inline float Sum(Pack a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.x[i] += a.x[i + width];
  return a.x[0];
}

struct DoublePack {
  double x[16];
};
inline DoublePack DoubleZero() { return {}; }
inline void AddSquares(DoublePack* sums, const Pack& a) {
  for (int i = 0; i < 16; ++i) sums->x[i] += static_cast<double>(a.x[i]) * static_cast<double>(a.x[i]);
}
inline double Sum(DoublePack a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.x[i] += a.x[i + width];
  return a.x[0];
}

}  // namespace
}  // namespace thimble::optim
