// Batch norms, of maps that are weighted by an attention before or not, as the scale and shift of every channel of every
// image, and their gradients: what is of the size of channels.

#include <cmath>

#include "dispatch.h"

extern "C" {

// `numbers` are a Norm. Returns 0, as the other.
int epsanet_norm(const char*, const int64_t* numbers) {
  Norm p;
  memcpy((void*)&p, numbers, sizeof p);
  for (int64_t c = 0; c < p.channels; ++c) {
    const auto attention = [&](int64_t row) -> double { return p.attention ? p.attention[row] : 1; };
    const int64_t all = p.n * p.channels;
    if (p.learns) {
      double centre = 0, variance = 0;
      for (int64_t row = c; row < all; row += p.channels) centre += attention(row) * p.mean[row] / p.n;
      for (int64_t row = c; row < all; row += p.channels) {
        const double a = attention(row), offset = a * p.mean[row] - centre;
        variance += (a * a * p.variance[row] + offset * offset) / p.n;
      }
      p.centre[c] = centre;
      p.spread[c] = variance;
    }
    const double inverse = 1 / std::sqrt(p.spread[c] + p.eps), scale = p.weight[c] * inverse;
    p.inverse[c] = inverse;
    for (int64_t row = c; row < all; row += p.channels) {
      p.scale[row] = scale * attention(row);
      p.shift[row] = p.bias[c] - scale * p.centre[c];
    }
  }
  return 0;
}

// `numbers` are a NormGradient. With a the attention, z = a * x has the gradient
// scale * (g - grad_bias / count - grad_weight / count * (z - centre) * inverse), in evaluation scale * g.
int epsanet_norm_gradient(const char*, const int64_t* numbers) {
  NormGradient p;
  memcpy((void*)&p, numbers, sizeof p);
  const double count = p.n * p.pixels;
  for (int64_t c = 0; c < p.channels; ++c) {
    const auto attention = [&](int64_t row) -> double { return p.attention ? p.attention[row] : 1; };
    const int64_t all = p.n * p.channels;
    const double inverse = p.inverse[c], scale = p.weight[c] * inverse;
    double of_weight = 0, of_bias = 0;
    for (int64_t row = c; row < all; row += p.channels) {
      const double a = attention(row), offset = a * p.mean[row] - p.centre[c];
      of_weight += inverse * (a * p.centred_sums[row] + offset * p.sums[row]);
      of_bias += p.sums[row];
    }
    p.grad_weight[c] = of_weight;
    p.grad_bias[c] = of_bias;
    const double slope = p.learns ? -scale * inverse * of_weight / count : 0;
    for (int64_t row = c; row < all; row += p.channels) {
      const double a = attention(row), mean = p.mean[row];
      const double constant = p.learns ? slope * (a * mean - p.centre[c]) - scale * of_bias / count : 0;
      p.slope[row] = slope * a * a;
      p.constant[row] = constant * a;
      if (p.attention)
        p.grad_attention[row] = scale * p.centred_sums[row] + slope * a * p.variance[row] * p.pixels +
                                mean * (scale * p.sums[row] + constant * p.pixels);
    }
  }
  return 0;
}
}
