// Max pooling.

#include "dispatch.h"

extern "C" {

// `numbers` are a Pool. Returns 0, or 1 if memory is short.
int epsanet_max_pool(const char* name, const int64_t* numbers) {
  const Kernels& kernels = kernels_of(name);
  Pool p;
  memcpy((void*)&p, numbers, sizeof p);
  bool enough = true;
#pragma omp parallel num_threads(p.threads) reduction(&& : enough)
  {
    float* scratch = room(p.w + 2);
    enough = scratch;
#pragma omp for schedule(dynamic, 1) nowait
    for (int64_t i = 0; i < p.n * p.channels; ++i) {
      const int64_t c = i % p.channels;
      if (scratch)
        kernels.max_pool(p, p.x + i * p.h * p.w, p.scale[c], p.shift[c], p.out + i * p.out_h * p.out_w, scratch);
    }
  }
  return !enough;
}
}
