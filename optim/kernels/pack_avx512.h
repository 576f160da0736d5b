// pack_plain.h in one register of 16; AVX-512F only.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace thimble::optim {
namespace {

struct Pack {
  __m512 x;
};

inline __mmask16 FirstLanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
inline Pack Load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline Pack LoadPart(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(FirstLanes(n), p)}; }
inline void Store(float* p, const Pack& a) { _mm512_storeu_ps(p, a.x); }
inline void StorePart(float* p, const Pack& a, int64_t n) { _mm512_mask_storeu_ps(p, FirstLanes(n), a.x); }
inline Pack All(float value) { return {_mm512_set1_ps(value)}; }
inline Pack operator+(const Pack& a, const Pack& b) { return {_mm512_add_ps(a.x, b.x)}; }
inline Pack operator-(const Pack& a, const Pack& b) { return {_mm512_sub_ps(a.x, b.x)}; }
inline Pack operator*(const Pack& a, const Pack& b) { return {_mm512_mul_ps(a.x, b.x)}; }
inline Pack operator/(const Pack& a, const Pack& b) { return {_mm512_div_ps(a.x, b.x)}; }
inline Pack Root(const Pack& a) { return {_mm512_sqrt_ps(a.x)}; }
inline Pack Least(const Pack& a, const Pack& b) { return {_mm512_min_ps(a.x, b.x)}; }
inline Pack Most(const Pack& a, const Pack& b) { return {_mm512_max_ps(a.x, b.x)}; }
inline __m256 HighHalf(__m512 a) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)); }
inline float Sum(const Pack& a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.x), HighHalf(a.x));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

struct DoublePack {
  __m512d low, high;
};
inline DoublePack DoubleZero() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
inline void AddSquares(DoublePack* sums, const Pack& a) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a.x)), high = _mm512_cvtps_pd(HighHalf(a.x));
  sums->low = _mm512_add_pd(sums->low, _mm512_mul_pd(low, low));
  sums->high = _mm512_add_pd(sums->high, _mm512_mul_pd(high, high));
}
inline double Sum(const DoublePack& a) {
  const __m512d eight = _mm512_add_pd(a.low, a.high);
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace
}  // namespace thimble::optim
