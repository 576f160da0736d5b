// MKL, which LibTorch multiplies matrices with, asks this function of its own whether the processor is
// Intel's, and picks by the answer among the kernels that the processor has instructions for. On AMD's it
// takes ones that are a third slower at a student's shapes (docs/distillation.md, Speed). A library's
// functions stand before those of what it is linked with, so that ours is the one it calls.
extern "C" int mkl_serv_intel_cpu_true() { return 1; }
