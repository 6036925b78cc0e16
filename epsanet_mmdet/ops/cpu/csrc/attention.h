// What PSA's attention needs of a map.
#include "problem.h"
#include "vectors.h"

namespace ISA {

float mean(const float* x, int64_t count) {
  vec sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[v] += load(x + i + v * LANES);
  float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < count; ++i) total += x[i];
  return total / count;
}

}  // namespace ISA
