// Grouped convolutions without a library, for few channels per group. A C interface, so that it depends on no version
// of torch or Python. OpenMP is left unresolved: it is found in the torch that loads this, whose threads it shares.

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "problem.h"

#define DECLARE(isa)                                             \
  namespace isa {                                                \
  void correlate(const Problem&, const Correlation&, int64_t);   \
  void weight_gradient(const Problem&, const Gradient&, int64_t); \
  }
DECLARE(plain)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

static const Kernels KERNELS[] = {
#if defined(__x86_64__)
    {"avx512", 16, 6, avx512::correlate, avx512::weight_gradient},
    {"avx2", 8, 3, avx2::correlate, avx2::weight_gradient},
#endif
    {"plain", 4, 2, plain::correlate, plain::weight_gradient},
};

static bool runs(const Kernels& k) {
#if defined(__x86_64__)
  if (!strcmp(k.name, "avx512")) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
  if (!strcmp(k.name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return true;
}

static const Kernels* find(const char* name) {
  for (const Kernels& k : KERNELS)
    if (!strcmp(k.name, name)) return &k;
  return nullptr;
}

// Copy the given fields, those before `derived`.
#define READ(object, type, derived, numbers)                   \
  memcpy((void*)&(object), numbers, offsetof(type, derived)); \
  numbers += offsetof(type, derived) / sizeof(int64_t)

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static float* allocate(int64_t size) {
  return (float*)aligned_alloc(64, ceil_div(size * sizeof(float), 64) * 64);
}

// Plan where the padded copy of the input goes. Without a stride, the zeros right of a row are those left of the next.
static bool lay_out(Problem& p, const Kernels& k, int64_t dilation) {
  const int64_t margin = p.stride == 1 ? 2 * p.pad : 2 * p.pad / p.stride + 1;
  p.pitch = ceil_div(p.w, p.stride) + (p.stride == 1 ? p.pad : margin);
  p.plane = p.pitch * (ceil_div(p.h, p.stride) + margin);
  p.channel = p.plane * p.stride * p.stride;
  // Tiles read on past the last channel: the right padding of its last row, and what they compute to be dropped.
  const int64_t size = p.n * p.channels * p.channel, slack = (3 * dilation + 2) * p.pitch + p.pad + 8 * k.lanes;
  p.padded = allocate(size + slack);
  if (p.padded) memset(p.padded + size, 0, slack * sizeof(float));
  return p.padded;
}

static void pad_channel(const Problem& p, int64_t index) {
  const float* in = p.x + index / p.channels * p.x_n + index % p.channels * p.h * p.w;
  float* out = p.padded + index * p.channel;
  const int64_t height = p.plane / p.pitch, s = p.stride;
  for (int64_t i = 0; i < s; ++i)
    for (int64_t j = 0; j < s; ++j)
      for (int64_t row = 0; row < height; ++row, out += p.pitch) {
        const int64_t y = row * s + i - p.pad;
        int64_t column = 0;
        if (y >= 0 && y < p.h) {
          const float* from = in + y * p.w;
          for (; column * s + j < p.pad; ++column) out[column] = 0;
          if (s == 1) {
            memcpy(out + column, from, p.w * sizeof(float));
            column += p.w;
          } else {
            for (int64_t x = column * s + j - p.pad; x < p.w; x += s) out[column++] = from[x];
          }
        }
        for (; column < p.pitch; ++column) out[column] = 0;
      }
}

static void plan(const Problem& p, const Kernels& k, Correlation& c) {
  c.filter = c.inputs * c.kh * c.kw;
  for (int64_t kx = 0; kx < c.kw; ++kx) {
    const int64_t x = kx * c.dilation + c.shift_x;
    c.column[kx] = x % p.stride * p.plane + x / p.stride;
  }
  c.phases = 0;
  c.spacing = c.dilation;
  c.row = p.pitch * c.spacing;
  for (int64_t first = 0; first < c.kh && first < p.stride; ++first) {
    const int64_t y = first + c.shift_y;
    c.phase[c.phases++] = {first, p.stride, ceil_div(c.kh - first, p.stride),
                           y % p.stride * p.stride * p.plane + y / p.stride * p.pitch};
  }
  c.together = c.outputs % 4 == 0 ? 4 : c.outputs % 2 == 0 ? 2 : 1;
  c.chunks = c.outputs / c.together;
  // Few channels reuse a long row's vectors too little.
  const int64_t across = ceil_div(c.out_w, k.lanes), all = ceil_div(c.out_h * p.pitch, k.lanes);
  const double reuse = c.together == 4 ? 1 : c.together == 2 ? 1.2 : 2;
  c.flat = all * reuse < across * c.out_h;
  const int64_t length = c.flat ? all : across;
  c.vectors = ceil_div(length, ceil_div(length, k.widest));
  c.places = c.flat ? ceil_div(all, c.vectors)
                    : c.spacing * ceil_div(ceil_div(c.out_h, c.spacing), 4 / c.together);
  c.parts = p.n * c.groups * c.chunks * c.places;
}

static void pad_gradient(const Problem& p, const Gradient& g, int64_t index) {
  const int64_t channels = g.groups * g.outputs;
  const float* from = g.grad + index / channels * g.grad_n + index % channels * g.grad_c;
  float* to = g.padded + index * g.plane;
  memset(to, 0, g.plane * sizeof(float));
  for (int64_t y = 0; y < g.out_h; ++y)
    memcpy(to + g.margin + y * p.pitch, from + y * g.out_w, g.out_w * sizeof(float));
}

extern "C" {

// Names of the instruction sets that this processor runs, the fastest first; null after the last.
const char* direct_conv_name(int64_t index) {
  for (const Kernels& k : KERNELS)
    if (runs(k) && index-- == 0) return k.name;
  return nullptr;
}

// `numbers` are those fields of a Problem and of `count` Correlations of it that problem.h says are given. A stride or
// a dilation must be 1. Returns 0, or 1 if memory is short.
int direct_conv_correlate(const char* name, const int64_t* numbers, int64_t count) {
  const Kernels* kernels = find(name);
  Problem p;
  READ(p, Problem, padded, numbers);
  Correlation* all = (Correlation*)malloc(count * sizeof(Correlation));
  int64_t dilation = 1;
  for (int64_t i = 0; all && i < count; ++i) {
    READ(all[i], Correlation, filter, numbers);
    if (all[i].dilation > dilation) dilation = all[i].dilation;
  }
  const bool enough = lay_out(p, *kernels, dilation) && all;
  if (enough) {
    for (int64_t i = 0; i < count; ++i) plan(p, *kernels, all[i]);
#pragma omp parallel num_threads(p.threads)
    {
#pragma omp for schedule(static)
      for (int64_t i = 0; i < p.n * p.channels; ++i) pad_channel(p, i);
      for (int64_t i = 0; i < count; ++i) {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t j = 0; j < all[i].parts; ++j) kernels->correlate(p, all[i], j);
      }
    }
  }
  free(all), free(p.padded);
  return !enough;
}

// The same for the gradients of convolutions with respect to their weights, with kernels up to 9 x 9.
int direct_conv_weight_gradient(const char* name, const int64_t* numbers, int64_t count) {
  const Kernels* kernels = find(name);
  Problem p;
  READ(p, Problem, padded, numbers);
  bool enough = lay_out(p, *kernels, 1);
  for (int64_t i = 0; enough && i < count; ++i) {
    Gradient g;
    READ(g, Gradient, padded, numbers);
    const int64_t planes = p.n * g.groups * g.outputs, parts = g.groups * g.outputs * g.inputs;
    g.margin = 2 * g.dilation * p.pitch;  // three kernel rows at a time
    g.plane = g.out_h * p.pitch + 2 * g.margin + kernels->lanes;
    g.padded = allocate(planes * g.plane);
    enough = g.padded;
    if (!enough) break;
#pragma omp parallel num_threads(p.threads)
    {
      if (i == 0) {
#pragma omp for schedule(static) nowait
        for (int64_t j = 0; j < p.n * p.channels; ++j) pad_channel(p, j);
      }
#pragma omp for schedule(static)
      for (int64_t j = 0; j < planes; ++j) pad_gradient(p, g, j);
#pragma omp for schedule(dynamic, 1) nowait
      for (int64_t j = 0; j < parts; ++j) kernels->weight_gradient(p, g, j);
    }
    free(g.padded);
  }
  free(p.padded);
  return !enough;
}
}
