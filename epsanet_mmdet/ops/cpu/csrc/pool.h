// Max pooling by 3x3 with stride 2 of what is normalised and rectified before it.
#include "problem.h"
#include "vectors.h"

namespace ISA {

// As torch's: NaN wins.
static inline float larger_of(float a, float b) { return (a > b) | (a != a) ? a : b; }

// One plane. `scratch` has room for w + 2 floats.
void max_pool(const Pool& p, const float* x, float scale, float shift, float* out, float* scratch) {
  const float lowest = -__builtin_inff();
  float* row = scratch + 1;
  for (int64_t y = 0; y < p.out_h; ++y, out += p.out_w) {
    row[-1] = row[p.w] = lowest;
    for (int64_t i = 2 * y - 1; i <= 2 * y + 1; ++i) {
      if (i < 0 || i >= p.h) continue;
      const float* from = x + i * p.w;
      const bool first = i == (y ? 2 * y - 1 : 0);
      for (int64_t j = 0; j < p.w; ++j) {
        float value = from[j] * scale + shift;
        value = value < 0 ? 0 : value;
        row[j] = first ? value : larger_of(value, row[j]);
      }
    }
    for (int64_t j = 0; j < p.out_w; ++j) out[j] = larger_of(larger_of(row[2 * j - 1], row[2 * j]), row[2 * j + 1]);
  }
}

}  // namespace ISA
