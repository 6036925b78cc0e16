// Grouped correlations of few channels per group, and the gradients of their weights.
#include "problem.h"
#include "vectors.h"

namespace ISA {

// M output channels x R rows x V vectors stay in registers. Per input channel, row and kernel column the vectors are
// loaded once and added to every row and channel that they reach. Whatever the tile, the sums have one order.
template <int M, int R, int V>
static inline void tile(const Correlation& c, const float* in, const float* w, float* out) {
  vec acc[M][R][V] = {};
  for (int64_t channel = 0; channel < c.inputs; ++channel, in += c.band.channel, w += c.kh * c.kw) {
    for (int64_t i = 0; i < c.phases; ++i) {
      const Phase& phase = c.phase[i];
      const int64_t above = phase.step * c.kw;
      for (int64_t r = 0; r < R - 1 + phase.count; ++r) {
        const float* row = in + phase.offset + r * c.row;
        const float* weight = w + phase.first * c.kw + r * above;
        const bool all = r >= R - 1 && r < phase.count;
        for (int64_t kx = 0; kx < c.kw; ++kx) {
          const float* at = row + c.column[kx];
          vec x[V];
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) x[v] = load(at + v * LANES);
#pragma GCC unroll 8
          for (int j = 0; j < R; ++j) {
            if (R > 1 && !all && (j > r || r - j >= phase.count)) continue;
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
              const float scalar = weight[m * c.filter - j * above + kx];
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

static inline void write(const Correlation& c, const float* from, float* to, int64_t count) {
  if (c.accumulate)
    for (int64_t x = 0; x < count; ++x) to[x * c.out_x] += from[x];
  else if (c.out_x == 1)
    for (int64_t x = 0; x < count; ++x) to[x] = from[x];
  else
    for (int64_t x = 0; x < count; ++x) to[x * c.out_x] = from[x];
}

// Rows of a tile: as many as registers allow, and as the cost of a last tile that is cut off.
constexpr int rows_of(int m, int v) {
  return m * v > 2 * WIDEST ? 1 : 4 * WIDEST / (m * v) < 16 / m ? (4 * WIDEST / (m * v) < 8 ? 4 * WIDEST / (m * v) : 8)
                                                                : (16 / m < 8 ? 16 / m : 8);
}

// The band by R rows of the map, which share input rows: those of one remainder modulo the dilation.
template <int M, int R, int V>
static void by_rows(const Correlation& c, const float* in, const float* w, float* out, int64_t rows) {
  alignas(64) float sums[M * R * V * LANES];
  for (int64_t remainder = 0; remainder < c.dilation; ++remainder)
    for (int64_t first = remainder; first < rows; first += R * c.dilation)
      for (int64_t x = 0; x < c.out_w; x += V * LANES) {
        const int64_t count = c.out_w - x < V * LANES ? c.out_w - x : V * LANES;
        tile<M, R, V>(c, in + first * c.band.pitch + x, w, sums);
        for (int m = 0; m < M; ++m)
          for (int j = 0; j < R && first + j * c.dilation < rows; ++j)
            write(c, sums + (m * R + j) * V * LANES,
                  out + m * c.out_c + (first + j * c.dilation) * c.out_y + x * c.out_x, count);
      }
}

// The band as one long row: what falls between two rows of the map is computed and dropped.
template <int M, int V>
static void as_one_row(const Correlation& c, const float* in, const float* w, float* out, int64_t rows) {
  alignas(64) float sums[M * V * LANES];
  const int64_t pitch = c.band.pitch;
  for (int64_t first = 0; first < rows * pitch; first += V * LANES) {
    tile<M, 1, V>(c, in + first, w, sums);
    int64_t y = first / pitch, x = first % pitch;
    for (int64_t i = 0; i < V * LANES && y < rows; i += pitch - x, ++y, x = 0) {
      const int64_t left = V * LANES - i, count = c.out_w - x < left ? c.out_w - x : left;
      for (int m = 0; m < M && count > 0; ++m)
        write(c, sums + m * V * LANES + i, out + m * c.out_c + y * c.out_y + x * c.out_x, count);
    }
  }
}

template <int M, int V>
static void sweep(const Correlation& c, const float* in, const float* w, float* out, int64_t rows) {
  if (c.flat)
    as_one_row<M, V>(c, in, w, out, rows);
  else
    by_rows<M, rows_of(M, V), V>(c, in, w, out, rows);
}

template <int M>
static void sweep(const Correlation& c, const float* in, const float* w, float* out, int64_t rows) {
  switch (c.vectors) {
    case 1: return sweep<M, 1>(c, in, w, out, rows);
    case 2: return sweep<M, 2>(c, in, w, out, rows);
#if WIDEST > 2
    case 3: return sweep<M, 3>(c, in, w, out, rows);
#endif
#if WIDEST > 3
    case 4: return sweep<M, 4>(c, in, w, out, rows);
    case 5: return sweep<M, 5>(c, in, w, out, rows);
    case 6: return sweep<M, 6>(c, in, w, out, rows);
#endif
  }
}

void correlate(const Correlation& c, const float* in, const float* weight, float* out, int64_t rows) {
  for (int64_t o = 0; o < c.outputs; o += c.together, weight += c.together * c.filter, out += c.together * c.out_c)
    switch (c.together) {
      case 4: sweep<4>(c, in, weight, out, rows); break;
      case 2: sweep<2>(c, in, weight, out, rows); break;
      default: sweep<1>(c, in, weight, out, rows);
    }
}

// Weights of A kernel rows and K columns: products of the input and the output's gradient, both as long rows. `row` and
// `column` say where the taps lie in the band.
template <int A, int K>
static void products(const float* in, const float* grad, int64_t length, const int64_t* row, const int64_t* column,
                     float* out, int64_t out_row, int64_t out_column) {
  vec acc[A][K] = {};
  in += row[0];
  length += row[A - 1] - row[0];
  for (int64_t i = 0; i < length; i += LANES) {
    vec y[A];
#pragma GCC unroll 4
    for (int a = 0; a < A; ++a) y[a] = load(grad + i + row[0] - row[a]);
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) {
      vec x = load(in + i + column[k]);
      IN_REGISTER(x);
#pragma GCC unroll 4
      for (int a = 0; a < A; ++a) acc[a][k] += y[a] * x;
    }
  }
#pragma GCC unroll 4
  for (int a = 0; a < A; ++a)
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) out[a * out_row + k * out_column] += sum(acc[a][k]);
}

template <int A>
static void products(int64_t k, const float* in, const float* grad, int64_t length, const int64_t* row,
                     const int64_t* column, float* out, int64_t out_row, int64_t out_column) {
  switch (k) {
#define CASE(K) \
  case K: return products<A, K>(in, grad, length, row, column, out, out_row, out_column);
    CASE(1) CASE(2) CASE(3)
#if LANES == 16
    CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
#endif
#undef CASE
  }
}

// Kernel rows and columns whose inputs lie on the same plane go together.
static void kernel_gradient(const Gradient& g, int64_t s, const float* in, const float* grad, float* out, int64_t rows) {
  const int64_t most = LANES == 16 ? 9 : 3, size = g.size;
  for (int64_t i = 0; i < s && i < size; ++i)
    for (int64_t j = 0; j < s && j < size; ++j) {
      const int64_t high = (size - i + s - 1) / s, wide = (size - j + s - 1) / s;
      for (int64_t a = 0; a < high; a += 3)
        for (int64_t k = 0; k < wide; k += most) {
          int64_t row[3], column[9];
          for (int64_t q = 0; q < 3; ++q) row[q] = (a + q) * g.dilation * g.band.pitch;
          for (int64_t q = 0; q < most; ++q) column[q] = (k + q) * g.dilation;
          const float* from = in + (i * s + j) * g.band.plane;
          const int64_t columns = wide - k < most ? wide - k : most, length = rows * g.band.pitch;
          float* to = out + (i + a * s) * size + j + k * s;
          switch (high - a) {
            case 1: products<1>(columns, from, grad, length, row, column, to, s * size, s); break;
            case 2: products<2>(columns, from, grad, length, row, column, to, s * size, s); break;
            default: products<3>(columns, from, grad, length, row, column, to, s * size, s);
          }
        }
    }
}

void weight_gradient(const Gradient& g, int64_t stride, const float* in, const float* grad, float* out,
                     int64_t outputs, int64_t rows) {
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t c = 0; c < g.inputs; ++c, out += g.size * g.size)
      kernel_gradient(g, stride, in + c * g.band.channel, grad + o * g.plane + g.margin, out, rows);
}

}  // namespace ISA
