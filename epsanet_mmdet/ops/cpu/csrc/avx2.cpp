#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define ISA avx2
#define LANES 8
#define WIDEST 3
#define TALLEST 4
#include "kernels.h"
#endif
