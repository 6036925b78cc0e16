// Grouped convolutions without a library, for few channels per group. A C interface, so that it depends on no version
// of torch or Python. OpenMP is left unresolved: it is found in the torch that loads this, whose threads it shares.

#include <cstdlib>

#include "dispatch.h"

static const int64_t CACHE = 96 * 1024;  // floats of a band that stay in a core's own cache

// Copy the given fields, those before `derived`.
#define READ(object, type, derived, numbers)                  \
  memcpy((void*)&(object), numbers, offsetof(type, derived)); \
  numbers += offsetof(type, derived) / sizeof(int64_t)

static const Map read_map(const int64_t*& numbers) {
  Map m;
  memcpy((void*)&m, numbers, sizeof m);
  numbers += sizeof m / sizeof(int64_t);
  return m;
}

// Split the output's rows into bands that fit the cache and occupy all threads.
static Band lay_out(const Map& m, int64_t pad, int64_t inputs, int64_t out_h, int64_t tasks) {
  Band b;
  const int64_t s = m.stride, below = s == 1 ? 2 * pad : 2 * pad / s + 1;  // rows that a band needs beyond its own
  b.pad = pad;
  // Without a stride, the zeros right of a row are those left of the next.
  b.pitch = ceil_div(m.w, s) + (s == 1 ? pad : below);
  const int64_t most = larger(CACHE / (inputs * s * s * b.pitch) - below, 8);
  b.count = larger(ceil_div(out_h, most), smaller(ceil_div(4 * m.threads, tasks), ceil_div(out_h, 8)));
  b.rows = smaller(ceil_div(ceil_div(out_h, b.count), 4) * 4, out_h);
  b.count = ceil_div(out_h, b.rows);
  b.plane = b.pitch * (b.rows + below);
  b.channel = b.plane * s * s;
  return b;
}

// Floats of a band and of what tiles read beyond it and drop.
static int64_t band_size(const Band& b, int64_t inputs, int64_t dilation) {
  return inputs * b.channel + (3 * dilation + 2) * b.pitch + 2 * b.pad + 8 * 16;
}

static void fill(const Map& m, const Band& b, int64_t n, int64_t channel, int64_t count, int64_t first, float* out) {
  const int64_t height = b.plane / b.pitch, s = m.stride;
  const float* in = m.x + n * m.x_n + channel * m.h * m.w;
  for (int64_t c = 0; c < count; ++c, in += m.h * m.w)
    for (int64_t i = 0; i < s; ++i)
      for (int64_t j = 0; j < s; ++j)
        for (int64_t row = 0; row < height; ++row, out += b.pitch) {
          const int64_t y = (first + row) * s + i - b.pad;
          int64_t column = 0;
          if (y >= 0 && y < m.h) {
            const float* from = in + y * m.w;
            for (; column * s + j < b.pad; ++column) out[column] = 0;
            if (s == 1) {
              memcpy(out + column, from, m.w * sizeof(float));
              column += m.w;
            } else {
              for (int64_t x = column * s + j - b.pad; x < m.w; x += s) out[column++] = from[x];
            }
          }
          for (; column < b.pitch; ++column) out[column] = 0;
        }
  memset(out, 0, (2 * b.pad + 16) * sizeof(float));  // what is read right of the last row
}

static void plan(const Map& m, const Kernels& k, const Band& band, Correlation& c) {
  c.band = band;
  c.filter = c.inputs * c.kh * c.kw;
  for (int64_t kx = 0; kx < c.kw; ++kx) {
    const int64_t x = kx * c.dilation + c.shift_x;
    c.column[kx] = x % m.stride * c.band.plane + x / m.stride;
  }
  c.phases = 0;
  c.row = c.band.pitch * c.dilation;
  for (int64_t first = 0; first < c.kh && first < m.stride; ++first) {
    const int64_t y = first + c.shift_y;
    c.phase[c.phases++] = {first, m.stride, ceil_div(c.kh - first, m.stride),
                           y % m.stride * m.stride * c.band.plane + y / m.stride * c.band.pitch};
  }
  c.together = c.outputs % 4 == 0 ? 4 : c.outputs % 2 == 0 ? 2 : 1;
  // One long row wastes less of the vectors on narrow maps, but few channels reuse the vectors too little.
  const int64_t across = ceil_div(c.out_w, k.lanes), all = ceil_div(c.band.rows * c.band.pitch, k.lanes);
  const double reuse = c.together == 4 ? 1 : c.together == 2 ? 1.2 : 2;
  c.flat = all * reuse < across * c.band.rows;
  const int64_t length = c.flat ? all : across;
  c.vectors = ceil_div(length, ceil_div(length, k.widest));
  // Of nearly equal tiles those that waste least.
  for (int64_t v = c.vectors; c.flat && v > k.widest / 2; --v)
    if (ceil_div(all, v) * v < ceil_div(all, c.vectors) * c.vectors) c.vectors = v;
}

// How many correlations, from this one on, have the same groups and so the same bands. They get the largest padding.
static int64_t join(Correlation* c, int64_t count) {
  int64_t joined = 1, pad = c->pad;
  for (; joined < count && c[joined].groups == c->groups; ++joined) pad = larger(pad, c[joined].pad);
  for (int64_t i = 0; i < joined; ++i) {
    c[i].shift_y += pad - c[i].pad;
    c[i].shift_x += pad - c[i].pad;
    c[i].pad = pad;
  }
  return joined;
}

// One band of one group and image, by `count` correlations that are joined.
static void correlate(const Map& m, const Kernels& k, const Correlation* c, int64_t count, int64_t part,
                      float* scratch) {
  const int64_t bands = c->band.count, group = part / bands % c->groups, n = part / bands / c->groups;
  const int64_t first = part % bands * c->band.rows;
  fill(m, c->band, n, group * c->inputs, c->inputs, first, scratch);
  for (const Correlation* end = c + count; c < end; ++c) {
    const int64_t o = group * c->outputs, rows = smaller(c->band.rows, c->out_h - first);
    if (rows <= 0) continue;
    k.correlate(*c, scratch, c->weight + o * c->filter, c->out + n * c->out_n + o * c->out_c + first * c->out_y, rows);
  }
}

static void plan(const Map& m, const Kernels& k, Gradient& g) {
  g.together = smaller(g.outputs, 4);
  // The sums' order follows the bands, so these must not depend on the threads.
  g.band = lay_out(m, g.size / 2 * g.dilation, g.inputs, g.out_h, 4 * m.threads);
  g.margin = 2 * g.dilation * g.band.pitch;  // three kernel rows at a time
  g.plane = g.band.rows * g.band.pitch + 2 * g.margin + k.lanes;
}

static void fill_gradient(const Gradient& g, int64_t n, int64_t o, int64_t outputs, int64_t first, int64_t rows,
                          float* to) {
  const float* from = g.grad + n * g.grad_n + o * g.grad_c + first * g.out_w;
  memset(to, 0, outputs * g.plane * sizeof(float));
  for (int64_t i = 0; i < outputs; ++i, from += g.grad_c, to += g.plane)
    for (int64_t y = 0; y < rows; ++y)
      memcpy(to + g.margin + y * g.band.pitch, from + y * g.out_w, g.out_w * sizeof(float));
}

static void weight_gradient(const Map& m, const Kernels& k, const Gradient& g, int64_t part, float* scratch) {
  const int64_t chunks = ceil_div(g.outputs, g.together), group = part / chunks, o = part % chunks * g.together;
  const int64_t outputs = smaller(g.together, g.outputs - o), filter = g.inputs * g.size * g.size;
  float* grad = scratch + band_size(g.band, g.inputs, g.dilation);
  float* out = g.out + (group * g.outputs + o) * filter;
  memset(out, 0, outputs * filter * sizeof(float));
  for (int64_t n = 0; n < m.n; ++n)
    for (int64_t first = 0; first < g.out_h; first += g.band.rows) {
      const int64_t rows = smaller(g.band.rows, g.out_h - first);
      fill(m, g.band, n, group * g.inputs, g.inputs, first, scratch);
      fill_gradient(g, n, group * g.outputs + o, outputs, first, rows, grad);
      k.weight_gradient(g, m.stride, scratch, grad, out, outputs, rows);
    }
}

extern "C" {

// `numbers` are a Map and the given fields of `count` Correlations of it. A stride or a dilation must be 1. Returns 0,
// or 1 if memory is short.
int epsanet_correlate(const char* name, const int64_t* numbers, int64_t count) {
  const Kernels& kernels = kernels_of(name);
  const Map map = read_map(numbers);
  Correlation* all = (Correlation*)malloc(count * sizeof(Correlation));
  bool enough = all;
  for (int64_t i = 0; enough && i < count; ++i) {
    READ(all[i], Correlation, band, numbers);
  }
  int64_t size = 0;
  for (int64_t i = 0, joined; enough && i < count; i += joined) {
    joined = join(all + i, count - i);
    int64_t dilation = 1, out_h = 1;
    for (int64_t j = i; j < i + joined; ++j) {
      dilation = larger(dilation, all[j].dilation);
      out_h = larger(out_h, all[j].out_h);
    }
    const Band band = lay_out(map, all[i].pad, all[i].inputs, out_h, map.n * all[i].groups);
    for (int64_t j = i; j < i + joined; ++j) plan(map, kernels, band, all[j]);
    all[i].joined = joined;
    size = larger(size, band_size(band, all[i].inputs, dilation));
  }
  if (enough) {
#pragma omp parallel num_threads(map.threads) reduction(&& : enough)
    {
      float* scratch = room(size);
      enough = scratch;
      for (int64_t i = 0; i < count; i += all[i].joined) {
        const Correlation& c = all[i];
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t j = 0; j < map.n * c.groups * c.band.count; ++j)
          if (scratch) correlate(map, kernels, &c, c.joined, j, scratch);
      }
    }
  }
  free(all);
  return !enough;
}

// The same for the gradients of convolutions with respect to their weights, with kernels up to 9 x 9.
int epsanet_weight_gradient(const char* name, const int64_t* numbers, int64_t count) {
  const Kernels& kernels = kernels_of(name);
  const Map map = read_map(numbers);
  Gradient* all = (Gradient*)malloc(count * sizeof(Gradient));
  int64_t size = 0;
  bool enough = all;
  for (int64_t i = 0; enough && i < count; ++i) {
    READ(all[i], Gradient, band, numbers);
    plan(map, kernels, all[i]);
    size = larger(size, band_size(all[i].band, all[i].inputs, all[i].dilation) + all[i].together * all[i].plane);
  }
  if (enough) {
#pragma omp parallel num_threads(map.threads) reduction(&& : enough)
    {
      float* scratch = room(size);
      enough = scratch;
      for (int64_t i = 0; i < count; ++i) {
        const Gradient& g = all[i];
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t j = 0; j < g.groups * ceil_div(g.outputs, g.together); ++j)
          if (scratch) weight_gradient(map, kernels, g, j, scratch);
      }
    }
  }
  free(all);
  return !enough;
}
}
