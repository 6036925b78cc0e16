// PSA's attention: global means of the branches, a shared squeeze MLP, and a softmax over the branches.

#include <cmath>

#include "dispatch.h"

// Replaces the means of an image by its attention. `hidden` has room for a.hidden floats.
static void attend(const Attention& a, float* means, float* hidden) {
  for (int64_t b = 0; b < a.branches; ++b) {
    float* branch = means + b * a.channels;
    for (int64_t h = 0; h < a.hidden; ++h) {
      float sum = a.bias1[h];
      for (int64_t c = 0; c < a.channels; ++c) sum += a.weight1[h * a.channels + c] * branch[c];
      hidden[h] = sum < 0 ? 0 : sum;
    }
    for (int64_t c = 0; c < a.channels; ++c) {
      float sum = a.bias2[c];
      for (int64_t h = 0; h < a.hidden; ++h) sum += a.weight2[c * a.hidden + h] * hidden[h];
      branch[c] = std::exp(1 / (1 + std::exp(-sum)));  // of a sigmoid, so that the softmax cannot overflow
    }
  }
  for (int64_t c = 0; c < a.channels; ++c) {
    float sum = 0;
    for (int64_t b = 0; b < a.branches; ++b) sum += means[b * a.channels + c];
    for (int64_t b = 0; b < a.branches; ++b) means[b * a.channels + c] /= sum;
  }
}

extern "C" {

// `numbers` are an Attention. Returns 0, or 1 if memory is short.
int epsanet_attention(const char* name, const int64_t* numbers) {
  const Kernels& kernels = kernels_of(name);
  Attention a;
  memcpy((void*)&a, numbers, sizeof a);
  const int64_t each = a.branches * a.channels;
  bool enough = true;
#pragma omp parallel num_threads(a.threads) reduction(&& : enough)
  {
    float* hidden = room(a.hidden);
    enough = hidden;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < a.n * each; ++i) a.out[i] = kernels.mean(a.x + i * a.size, a.size);
#pragma omp for schedule(static) nowait
    for (int64_t n = 0; n < a.n; ++n)
      if (hidden) attend(a, a.out + n * each, hidden);
  }
  return !enough;
}
}
