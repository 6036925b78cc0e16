// The kernels, compiled once per instruction set: the including file names it (ISA) and says how many floats a
// vector has (LANES) and how many vectors a row of accumulators may have (WIDEST).
//
// A padded copy of the input turns a convolution into sums of shifted rows. With stride s the copy is dealt out into
// s x s planes by the remainders of row and column, after which every tap again reads consecutive floats.

#include "problem.h"

namespace ISA {

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec load(const float* p) { return *(const loose*)p; }
static inline void store(float* p, vec v) { *(loose*)p = v; }

// M output channels x R rows x V vectors stay in registers. Per input channel, row and kernel column the vectors are
// loaded once and added to every row and channel that they reach.
template <int M, int R, int V>
static inline void tile(const Problem& p, const Correlation& b, const float* in, const float* w, float* out) {
  vec acc[M][R][V] = {};
  for (int64_t c = 0; c < b.inputs; ++c, in += p.channel, w += b.kh * b.kw) {
    for (int64_t i = 0; i < b.phases; ++i) {
      const Phase& phase = b.phase[i];
      const int64_t above = phase.step * b.kw;
      for (int64_t r = 0; r < R - 1 + phase.count; ++r) {
        const float* row = in + phase.offset + r * b.row;
        const float* weight = w + phase.first * b.kw + r * above;
        const bool all = r >= R - 1 && r < phase.count;
        for (int64_t kx = 0; kx < b.kw; ++kx) {
          const float* at = row + b.column[kx];
          vec x[V];
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) x[v] = load(at + v * LANES);
#pragma GCC unroll 8
          for (int j = 0; j < R; ++j) {
            if (R > 1 && !all && (j > r || r - j >= phase.count)) continue;
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
              const float scalar = weight[m * b.filter - j * above + kx];
#pragma GCC unroll 8
              for (int v = 0; v < V; ++v) acc[m][j][v] += x[v] * scalar;
            }
          }
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int j = 0; j < R; ++j)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) store(out + ((m * R + j) * V + v) * LANES, acc[m][j][v]);
}

static inline void write(const Correlation& b, const float* from, float* to, int64_t count) {
  if (b.accumulate)
    for (int64_t x = 0; x < count; ++x) to[x * b.out_x] += from[x];
  else if (b.out_x == 1)
    for (int64_t x = 0; x < count; ++x) to[x] = from[x];
  else
    for (int64_t x = 0; x < count; ++x) to[x * b.out_x] = from[x];
}

// Rows of the map: R of them, b.spacing apart, from `first` on.
template <int M, int R, int V>
static void rows(const Problem& p, const Correlation& b, const float* in, const float* w, float* out, int64_t first) {
  alignas(64) float sums[M * R * V * LANES];
  for (int64_t x = 0; x < b.out_w; x += V * LANES) {
    const int64_t count = b.out_w - x < V * LANES ? b.out_w - x : V * LANES;
    tile<M, R, V>(p, b, in + first * p.pitch + x, w, sums);
    for (int m = 0; m < M; ++m)
      for (int j = 0; j < R; ++j) {
        const int64_t y = first + j * b.spacing;
        if (y < b.out_h) write(b, sums + (m * R + j) * V * LANES, out + m * b.out_c + y * b.out_y + x * b.out_x, count);
      }
  }
}

// The map as one long row: what falls between two of its rows is computed and dropped.
template <int M, int V>
static void run(const Problem& p, const Correlation& b, const float* in, const float* w, float* out, int64_t first) {
  alignas(64) float sums[M * V * LANES];
  tile<M, 1, V>(p, b, in + first, w, sums);
  int64_t y = first / p.pitch, x = first % p.pitch;
  for (int64_t i = 0; i < V * LANES && y < b.out_h; ++y, x = 0) {
    const int64_t left = V * LANES - i, count = b.out_w - x < left ? b.out_w - x : left;
    for (int m = 0; m < M && count > 0; ++m)
      write(b, sums + m * V * LANES + i, out + m * b.out_c + y * b.out_y + x * b.out_x, count);
    i += p.pitch - x;
  }
}

template <int M, int V>
static void block(const Problem& p, const Correlation& b, const float* in, const float* w, float* out, int64_t first) {
  if (b.flat)
    run<M, V>(p, b, in, w, out, first);
  else
    rows<M, 4 / M, V>(p, b, in, w, out, first);
}

template <int M>
static void block(const Problem& p, const Correlation& b, const float* in, const float* w, float* out, int64_t first) {
  switch (b.vectors) {
    case 1: return block<M, 1>(p, b, in, w, out, first);
    case 2: return block<M, 2>(p, b, in, w, out, first);
#if WIDEST > 2
    case 3: return block<M, 3>(p, b, in, w, out, first);
#endif
#if WIDEST > 3
    case 4: return block<M, 4>(p, b, in, w, out, first);
    case 5: return block<M, 5>(p, b, in, w, out, first);
    case 6: return block<M, 6>(p, b, in, w, out, first);
#endif
  }
}

// One of the independent parts of a correlation, see plan().
void correlate(const Problem& p, const Correlation& b, int64_t index) {
  const int64_t place = index % b.places, chunk = index / b.places % b.chunks, rest = index / b.places / b.chunks;
  const int64_t group = rest % b.groups, n = rest / b.groups, o = group * b.outputs + chunk * b.together;
  int64_t first = place * b.vectors * LANES;
  if (!b.flat) {
    const int64_t high = 4 / b.together;
    first = place % b.spacing + place / b.spacing * high * b.spacing;
    if (first >= b.out_h) return;
  }
  const float* in = p.padded + (n * p.channels + group * b.inputs) * p.channel;
  const float* w = b.weight + o * b.filter;
  float* out = b.out + n * b.out_n + o * b.out_c;
  switch (b.together) {
    case 4: return block<4>(p, b, in, w, out, first);
    case 2: return block<2>(p, b, in, w, out, first);
    case 1: return block<1>(p, b, in, w, out, first);
  }
}

static inline float sum(vec v) {
  float lanes[LANES];
  store(lanes, v);
#pragma GCC unroll 4
  for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

// Weights of A kernel rows and K columns: products of the output's gradient and the input, both as long rows.
template <int A, int K>
static void products(const Problem& p, const Gradient& g, const float* x, const float* grad, const int64_t* row,
                     const int64_t* column, float* out, int64_t out_row, int64_t out_column) {
  vec acc[A][K] = {};
  for (int64_t n = 0; n < p.n; ++n) {
    const float* from = x + n * p.channels * p.channel + row[0];
    const float* with = grad + n * g.groups * g.outputs * g.plane;
    const int64_t length = g.out_h * p.pitch + row[A - 1] - row[0];
    for (int64_t i = 0; i < length; i += LANES) {
      vec y[A];
#pragma GCC unroll 4
      for (int a = 0; a < A; ++a) y[a] = load(with + i + row[0] - row[a]);
#pragma GCC unroll 16
      for (int k = 0; k < K; ++k) {
        const vec v = load(from + i + column[k]);
#pragma GCC unroll 4
        for (int a = 0; a < A; ++a) acc[a][k] += y[a] * v;
      }
    }
  }
#pragma GCC unroll 4
  for (int a = 0; a < A; ++a)
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) out[a * out_row + k * out_column] = sum(acc[a][k]);
}

template <int A>
static void products(int64_t k, const Problem& p, const Gradient& g, const float* x, const float* grad,
                     const int64_t* row, const int64_t* column, float* out, int64_t out_row, int64_t out_column) {
  switch (k) {
#define CASE(K) \
  case K: return products<A, K>(p, g, x, grad, row, column, out, out_row, out_column);
    CASE(1) CASE(2) CASE(3)
#if LANES == 16
    CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
#endif
#undef CASE
  }
}

// One of the independent parts of a weight's gradient: an output channel and an input channel.
void weight_gradient(const Problem& p, const Gradient& g, int64_t index) {
  const int64_t most = LANES == 16 ? 9 : 3, c = index % g.inputs, o = index / g.inputs, s = p.stride;
  const float* x = p.padded + (o / g.outputs * g.inputs + c) * p.channel;
  const float* grad = g.padded + o * g.plane + g.margin;
  float* out = g.out + index * g.size * g.size;
  // Kernel rows and columns whose inputs lie on the same plane go together.
  for (int64_t i = 0; i < s && i < g.size; ++i)
    for (int64_t j = 0; j < s && j < g.size; ++j) {
      const int64_t rows = (g.size - i + s - 1) / s, columns = (g.size - j + s - 1) / s;
      const int64_t y = i + g.shift, z = j + g.shift;
      const float* from = x + (y % s * s + z % s) * p.plane;
      for (int64_t a = 0; a < rows; a += 3)
        for (int64_t k = 0; k < columns; k += most) {
          int64_t row[3], column[9];
          for (int64_t q = 0; q < 3; ++q) row[q] = (y / s + (a + q) * g.dilation) * p.pitch;
          for (int64_t q = 0; q < most; ++q) column[q] = z / s + (k + q) * g.dilation;
          const int64_t wide = columns - k < most ? columns - k : most;
          float* to = out + (i + a * s) * g.size + j + k * s;
          switch (rows - a) {
            case 1: products<1>(wide, p, g, from, grad, row, column, to, s * g.size, s); break;
            case 2: products<2>(wide, p, g, from, grad, row, column, to, s * g.size, s); break;
            default: products<3>(wide, p, g, from, grad, row, column, to, s * g.size, s);
          }
        }
    }
}

}  // namespace ISA
