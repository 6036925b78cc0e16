// Maps that are scaled and shifted row by row (a row is a channel of an image), and their gradients.
#include "problem.h"
#include "vectors.h"

namespace ISA {

static inline float relu(float v) { return v < 0 ? 0 : v; }
static inline vec kept(vec by, vec v) { return by <= 0 ? vec{} : v; }
static inline float kept(float by, float v) { return by <= 0 ? 0 : v; }

float squares(const float* x, float centre, int64_t count) {
  vec sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const vec d = load(x + i + v * LANES) - centre;
      sums[v] += d * d;
    }
  float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < count; ++i) total += (x[i] - centre) * (x[i] - centre);
  return total;
}

template <bool RELU, bool ADD>
static void affine(const float* x, const float* add, float scale, float shift, float* out, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    vec y = load(x + i) * scale + shift;
    if (ADD) y += load(add + i);
    store(out + i, RELU ? relu(y) : y);
  }
  for (; i < count; ++i) {
    const float y = x[i] * scale + shift + (ADD ? add[i] : 0);
    out[i] = RELU ? relu(y) : y;
  }
}

void affine(const Affine& a, int64_t row) {
  const float* x = a.x + row * a.size;
  const float* add = a.add ? a.add + row * a.size : nullptr;
  const auto function = a.relu ? (add ? affine<true, true> : affine<true, false>)
                               : (add ? affine<false, true> : affine<false, false>);
  function(x, add, a.scale[row], a.shift[row], a.out + row * a.size, a.size);
}

// How the backward passes know what the ReLU let through: everything, by its input, or by its output.
enum Mask { NONE, INPUT, OUTPUT };

template <Mask MASK, typename T>
static inline T through(T x, float scale, float shift, T out, T grad) {
  return MASK == NONE ? grad : MASK == INPUT ? kept(x * scale + shift, grad) : kept(out, grad);
}

template <Mask MASK>
static void affine_sums(const AffineGradient& a, int64_t row) {
  const float *x = a.x + row * a.size, *grad = a.grad + row * a.size, *out = MASK == OUTPUT ? a.out + row * a.size : x;
  const float scale = a.scale[row], shift = a.shift[row], centre = a.centre[row];
  vec plain[2] = {}, centred[2] = {};
  int64_t i = 0;
  for (; i + 2 * LANES <= a.size; i += 2 * LANES)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const vec at = load(x + i + v * LANES);
      const vec g = through<MASK>(at, scale, shift, load(out + i + v * LANES), load(grad + i + v * LANES));
      plain[v] += g;
      centred[v] += g * (at - centre);
    }
  float sums[2] = {sum(plain[0] + plain[1]), sum(centred[0] + centred[1])};
  for (; i < a.size; ++i) {
    const float g = through<MASK>(x[i], scale, shift, out[i], grad[i]);
    sums[0] += g;
    sums[1] += g * (x[i] - centre);
  }
  a.sums[row] = sums[0];
  a.centred_sums[row] = sums[1];
}

template <Mask MASK>
static void affine_gradient(const AffineGradient& a, int64_t row) {
  const float *x = a.x + row * a.size, *grad = a.grad + row * a.size, *out = MASK == OUTPUT ? a.out + row * a.size : x;
  const float scale = a.scale[row], shift = a.shift[row], slope = a.slope[row];
  const float constant = a.constant[row] - slope * a.centre[row];
  float *to = a.grad_x + row * a.size, *masked = a.grad_add ? a.grad_add + row * a.size : nullptr;
  int64_t i = 0;
  for (; i + LANES <= a.size; i += LANES) {
    const vec at = load(x + i), g = through<MASK>(at, scale, shift, load(out + i), load(grad + i));
    store(to + i, g * scale + (at * slope + constant));
    if (masked) store(masked + i, g);
  }
  for (; i < a.size; ++i) {
    const float g = through<MASK>(x[i], scale, shift, out[i], grad[i]);
    to[i] = g * scale + (x[i] * slope + constant);
    if (masked) masked[i] = g;
  }
}

void affine_sums(const AffineGradient& a, int64_t row) {
  (!a.relu ? affine_sums<NONE> : a.out ? affine_sums<OUTPUT> : affine_sums<INPUT>)(a, row);
}

void affine_gradient(const AffineGradient& a, int64_t row) {
  (!a.relu ? affine_gradient<NONE> : a.out ? affine_gradient<OUTPUT> : affine_gradient<INPUT>)(a, row);
}

}  // namespace ISA
