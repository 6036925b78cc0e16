#include "dispatch.h"

#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define DECLARE(isa)                                                                                               \
  namespace isa {                                                                                                  \
  void correlate(const Correlation&, const float*, const float*, float*, int64_t);                                 \
  void weight_gradient(const Gradient&, int64_t, const float*, const float*, float*, int64_t, int64_t);            \
  void pointwise(const Pointwise&, int64_t, int64_t, int64_t, int64_t, int64_t, float*);                           \
  void max_pool(const Pool&, const float*, float, float, float*, float*);                                          \
  float mean(const float*, int64_t);                                                                               \
  float squares(const float*, float, int64_t);                                                                     \
  void affine(const Affine&, int64_t);                                                                             \
  void affine_sums(const AffineGradient&, int64_t);                                                                \
  void affine_gradient(const AffineGradient&, int64_t);                                                            \
  }
DECLARE(plain)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

#define ENTRY(isa, lanes, widest)                                                                                  \
  {#isa,      lanes,        widest,      isa::correlate, isa::weight_gradient, isa::pointwise, isa::max_pool,      \
   isa::mean, isa::squares, isa::affine, isa::affine_sums, isa::affine_gradient}
static const Kernels KERNELS[] = {
#if defined(__x86_64__)
    ENTRY(avx512, 16, 6),
    ENTRY(avx2, 8, 3),
#endif
    ENTRY(plain, 4, 2),
};

static bool runs(const Kernels& k) {
#if defined(__x86_64__)
  if (!strcmp(k.name, "avx512")) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
  if (!strcmp(k.name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return true;
}

const Kernels& kernels_of(const char* name) {
  const Kernels* k = KERNELS;
  while (strcmp(k->name, name)) ++k;
  return *k;
}

// A thread's room for its bands, kept from call to call: fresh memory costs a page fault every 4 KB.
struct Scratch {
  float* floats = nullptr;
  int64_t size = 0;

  float* of_size(int64_t wanted) {
    if (wanted > size) {
      free(floats);
      floats = (float*)aligned_alloc(64, ceil_div(wanted * sizeof(float), 64) * 64);
      size = floats ? wanted : 0;
    }
    return floats;
  }
  ~Scratch() { free(floats); }
};
static thread_local Scratch scratch[2];

float* room(int64_t size, Use use) { return scratch[use].of_size(size); }

extern "C" {

// Names of the instruction sets that this processor runs, the fastest first; null after the last.
const char* epsanet_instruction_set(int64_t index) {
  for (const Kernels& k : KERNELS)
    if (runs(k) && index-- == 0) return k.name;
  return nullptr;
}

// How many numbers each of these is given by. A binding that gives others is of another version.
int64_t epsanet_numbers(int64_t index) {
  const int64_t bytes[] = {sizeof(Map),       offsetof(Correlation, band), offsetof(Gradient, band),
                           sizeof(Pointwise), sizeof(Pool),                sizeof(Attention),
                           sizeof(Moments),   sizeof(Affine),              sizeof(AffineGradient),
                           sizeof(Norm),      sizeof(NormGradient)};
  return bytes[index] / sizeof(int64_t);
}

// Ask the system for huge pages under memory that was not written yet: it hands out the usual ones one by one, which
// takes several times longer than filling them.
void epsanet_fresh(char* memory, int64_t bytes) {
#if defined(__linux__)
  const int64_t page = 4096, before = (page - (int64_t)memory % page) % page;
  if (bytes >= 4 << 20) madvise(memory + before, (bytes - before) / page * page, MADV_HUGEPAGE);
#else
  (void)memory, (void)bytes;
#endif
}
}
