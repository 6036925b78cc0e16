// 1x1 convolutions of all channels, with what comes before and after them.
#include <cstring>

#include "problem.h"
#include "vectors.h"

namespace ISA {

static const int64_t AHEAD = 8;  // channels

// Vectors of tile t, of as equal tiles as possible, and where it begins.
struct Tile {
  int64_t width, first;
};

static inline Tile tile_of(int64_t vectors, int64_t tiles, int64_t t) {
  const int64_t narrow = vectors / tiles, wider = vectors % tiles;
  return {narrow + (t < wider), t * narrow + (t < wider ? t : wider)};
}

static inline void prepare(const Pointwise& p, int64_t n, int64_t channel, float* at, int64_t vectors) {
  const float scale = p.in_scale[n * p.map.channels + channel], shift = p.in_shift[channel];
  for (int64_t v = 0; v < vectors; ++v) store(at + v * LANES, relu(load(at + v * LANES) * scale + shift));
}

// Copy the pixels of a panel, tile by tile, each tile's channels one after the other. Those of channels ahead are fetched,
// since each lies on a page of its own, which the processor does not foresee.
static void pack(const Pointwise& p, int64_t n, int64_t first, int64_t count, int64_t vectors, float* to) {
  const Map& m = p.map;
  const int64_t tiles = (vectors + 2) / 3, size = m.h * m.w;
  for (int64_t c = 0; c < m.channels; ++c) {
    const float* from = m.x + n * m.x_n + c * size;
    if (m.stride == 1)
      for (int64_t v = 0; v < vectors; ++v) __builtin_prefetch(from + AHEAD * size + first + v * LANES);
    for (int64_t t = 0; t < tiles; ++t) {
      const Tile tile = tile_of(vectors, tiles, t);
      const int64_t begin = tile.first * LANES, all = tile.width * LANES;
      const int64_t here = count - begin < all ? count - begin : all;
      float* at = to + (tile.first * m.channels + c * tile.width) * LANES;
      if (m.stride == 1) {
        memcpy(at, from + first + begin, here * sizeof(float));
      } else {
        int64_t y = (first + begin) / p.out_w, x = (first + begin) % p.out_w;
        for (int64_t i = 0; i < here; ++i) {
          at[i] = from[(y * m.w + x) * m.stride];
          if (++x == p.out_w) x = 0, ++y;
        }
      }
      for (int64_t i = here; i < all; ++i) at[i] = 0;
      if (p.in_scale) prepare(p, n, c, at, tile.width);
    }
  }
}

// M output channels x V vectors stay in registers while all input channels run by.
template <int M, int V>
static void dot(const Pointwise& p, const float* in, int64_t o, int64_t at, int64_t count) {
  const int64_t inputs = p.map.channels;
  const float* w = p.weight + o * inputs;
  vec acc[M][V] = {};
  for (int64_t c = 0; c < inputs; ++c, in += V * LANES) {
    vec x[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) x[v] = load(in + v * LANES);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const float scalar = w[m * inputs + c];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[m][v] += x[v] * scalar;
    }
  }
  const int64_t size = p.out_h * p.out_w;
  for (int m = 0; m < M; ++m) {
    float* out = p.out + at + m * size;
    const float* add = p.add ? p.add + at + m * size : nullptr;
    alignas(64) float edge[V * LANES];
    const bool cut = count < V * LANES;
    if (cut && add) memcpy(edge, add, count * sizeof(float));
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      vec y = acc[m][v] * p.scale[o + m] + p.shift[o + m];
      if (add) y += load((cut ? edge : add) + v * LANES);
      store((cut ? edge : out) + v * LANES, p.relu ? relu(y) : y);
    }
    if (cut) memcpy(out, edge, count * sizeof(float));
  }
}

template <int M>
static void dot(const Pointwise& p, int64_t width, const float* in, int64_t o, int64_t at, int64_t count) {
  switch (width) {
    case 1: return dot<M, 1>(p, in, o, at, count);
    case 2: return dot<M, 2>(p, in, o, at, count);
    default: return dot<M, 3>(p, in, o, at, count);
  }
}

void pointwise(const Pointwise& p, int64_t n, int64_t first, int64_t count, int64_t begin, int64_t end,
               float* scratch) {
  const int64_t vectors = (count + LANES - 1) / LANES, tiles = (vectors + 2) / 3, size = p.out_h * p.out_w;
  pack(p, n, first, count, vectors, scratch);
  for (int64_t o = begin, together; o < end; o += together) {
    together = end - o >= TALLEST ? TALLEST : end - o >= 2 ? 2 : 1;
    for (int64_t t = 0; t < tiles; ++t) {
      const Tile tile = tile_of(vectors, tiles, t);
      const int64_t left = count - tile.first * LANES, all = tile.width * LANES;
      const int64_t at = (n * p.outputs + o) * size + first + tile.first * LANES, here = left < all ? left : all;
      const float* in = scratch + tile.first * p.map.channels * LANES;
      switch (together) {
        case TALLEST: dot<TALLEST>(p, tile.width, in, o, at, here); break;
        case 2: dot<2>(p, tile.width, in, o, at, here); break;
        default: dot<1>(p, tile.width, in, o, at, here);
      }
    }
  }
}

}  // namespace ISA
