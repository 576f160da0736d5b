// pack_plain.h in two registers of 8.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace thimble::optim {
namespace {

struct Pack {
  __m256 low, high;
};

inline Pack Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline __m256i FirstLanes(int64_t n) {  // all bits of the first n of 8
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Pack LoadPart(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, FirstLanes(n)), _mm256_maskload_ps(p + 8, FirstLanes(n - 8))};
}
inline void Store(float* p, const Pack& a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}
inline void StorePart(float* p, const Pack& a, int64_t n) {
  _mm256_maskstore_ps(p, FirstLanes(n), a.low);
  _mm256_maskstore_ps(p + 8, FirstLanes(n - 8), a.high);
}
inline Pack All(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
inline Pack operator+(const Pack& a, const Pack& b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Pack operator-(const Pack& a, const Pack& b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Pack operator*(const Pack& a, const Pack& b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Pack operator/(const Pack& a, const Pack& b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Pack Root(const Pack& a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
inline Pack Least(const Pack& a, const Pack& b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline Pack Most(const Pack& a, const Pack& b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline float Sum(const Pack& a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

struct DoublePack {
  __m256d x[4];
};
inline DoublePack DoubleZero() {
  return {{_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()}};
}
inline __m256d Square(__m128 a) {
  const __m256d wide = _mm256_cvtps_pd(a);
  return _mm256_mul_pd(wide, wide);
}
inline void AddSquares(DoublePack* sums, const Pack& a) {
  sums->x[0] = _mm256_add_pd(sums->x[0], Square(_mm256_castps256_ps128(a.low)));
  sums->x[1] = _mm256_add_pd(sums->x[1], Square(_mm256_extractf128_ps(a.low, 1)));
  sums->x[2] = _mm256_add_pd(sums->x[2], Square(_mm256_castps256_ps128(a.high)));
  sums->x[3] = _mm256_add_pd(sums->x[3], Square(_mm256_extractf128_ps(a.high, 1)));
}
inline double Sum(const DoublePack& a) {
  const __m256d four = _mm256_add_pd(_mm256_add_pd(a.x[0], a.x[2]), _mm256_add_pd(a.x[1], a.x[3]));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace
}  // namespace thimble::optim
