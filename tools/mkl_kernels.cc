// MKL, which LibTorch multiplies matrices with, asks this function of its own whether the processor is Intel's, and picks by the answer
// among the kernels that the processor has instructions for. On AMD's it takes ones that are a third slower at a student's shapes
// (docs/distillation.md, Speed). An executable's functions stand before those of its libraries, so that ours is the one it calls.
extern "C" int mkl_serv_intel_cpu_true() { return 1; }
