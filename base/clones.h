// Loops for newer processors in a program built for older ones.
#pragma once

// On a function: compiled for AVX2 and for the baseline, chosen once when the program is loaded. Not under
// ThreadSanitizer, whose runtime is not there yet at that moment. Sums inside need "#pragma omp simd
// reduction" to use the lanes.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THIMBLE_NO_CLONES
#endif
#endif
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__) && \
    !defined(THIMBLE_NO_CLONES)
#define THIMBLE_CLONES __attribute__((target_clones("arch=haswell", "default")))
#else
#define THIMBLE_CLONES
#endif
