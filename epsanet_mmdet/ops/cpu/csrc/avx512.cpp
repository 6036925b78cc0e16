#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma")
#define ISA avx512
#define LANES 16
#define WIDEST 6
#define TALLEST 8
#include "kernels.h"
#endif
