// 1x1 convolutions and what comes before and after them.

#include "dispatch.h"

static const int64_t CACHE = 64 * 1024;  // floats of a panel of pixels, which stay in a core's own cache

// How the work is dealt out: panels of pixels, and chunks of output channels where panels are few.
struct Parts {
  int64_t vectors, panels, chunk, chunks;
};

static Parts deal(const Pointwise& p, int64_t lanes) {
  const int64_t vectors = ceil_div(p.out_h * p.out_w, lanes), wanted = 4 * p.map.threads;
  const int64_t most = larger(CACHE / (p.map.channels * lanes), 3);
  Parts parts;
  parts.panels = larger(ceil_div(vectors, most), smaller(ceil_div(wanted, p.map.n), ceil_div(vectors, 3)));
  parts.vectors = ceil_div(vectors, parts.panels);
  parts.panels = ceil_div(vectors, parts.vectors);
  // Each chunk copies the panel anew.
  parts.chunks = smaller(ceil_div(wanted, p.map.n * parts.panels), larger(p.outputs / 64, 1));
  parts.chunk = ceil_div(ceil_div(p.outputs, parts.chunks), 8) * 8;
  parts.chunks = ceil_div(p.outputs, parts.chunk);
  return parts;
}

// Columns of 16 rows at a time, so that what is written together lies in few cache lines.
static void turn(const float* from, int64_t rows, int64_t columns, int64_t first, float* to) {
  const int64_t end = smaller(first + 16, rows);
  for (int64_t column = 0; column < columns; ++column)
    for (int64_t row = first; row < end; ++row) to[column * rows + row] = from[row * columns + column];
}

extern "C" {

// `numbers` are a Pointwise. Returns 0, or 1 if memory is short.
int epsanet_pointwise(const char* name, const int64_t* numbers) {
  const Kernels& kernels = kernels_of(name);
  Pointwise p;
  memcpy((void*)&p, numbers, sizeof p);
  const Parts parts = deal(p, kernels.lanes);
  const int64_t size = p.out_h * p.out_w, panel = parts.vectors * kernels.lanes;
  const float* given = p.weight;
  float* turned = p.turned ? room(p.outputs * p.map.channels, SHARED) : nullptr;
  if (p.turned && !turned) return 1;
  if (p.turned) p.weight = turned;
  bool enough = true;
#pragma omp parallel num_threads(p.map.threads) reduction(&& : enough)
  {
    float* scratch = room(panel * p.map.channels);
    enough = scratch;
#pragma omp for schedule(static)
    for (int64_t row = 0; row < (p.turned ? p.map.channels : 0); row += 16)
      turn(given, p.map.channels, p.outputs, row, turned);
#pragma omp for schedule(dynamic, 1) nowait
    for (int64_t i = 0; i < p.map.n * parts.panels * parts.chunks; ++i) {
      const int64_t chunk = i % parts.chunks, first = i / parts.chunks % parts.panels * panel;
      const int64_t begin = chunk * parts.chunk, end = smaller(begin + parts.chunk, p.outputs);
      if (scratch)
        kernels.pointwise(p, i / parts.chunks / parts.panels, first, smaller(panel, size - first), begin, end, scratch);
    }
  }
  return !enough;
}
}
