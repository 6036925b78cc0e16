// Vectors of the instruction set that the including file names (ISA), of as many floats as it says (LANES).
#pragma once

namespace ISA {

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec load(const float* p) { return *(const loose*)p; }
static inline void store(float* p, vec v) { *(loose*)p = v; }

// Keep the compiler from loading a vector again for each of its uses.
#if defined(__x86_64__)
#define IN_REGISTER(v) asm("" : "+v"(v))
#else
#define IN_REGISTER(v)
#endif

static inline float sum(vec v) {
  float lanes[LANES];
  store(lanes, v);
#pragma GCC unroll 4
  for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

// NaN stays NaN, as with torch.
static inline vec relu(vec v) { return v < 0 ? vec{} : v; }

}  // namespace ISA
