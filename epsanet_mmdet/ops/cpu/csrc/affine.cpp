// Moments of rows, what is affine in each row, and its gradients. Always successful, so all return 0.

#include "dispatch.h"

template <typename Task, typename Work>
static int for_rows(const int64_t* numbers, const Work& work) {
  Task task;
  memcpy((void*)&task, numbers, sizeof task);
#pragma omp parallel for schedule(static) num_threads(task.threads)
  for (int64_t row = 0; row < task.rows; ++row) work(task, row);
  return 0;
}

extern "C" {

int epsanet_moments(const char* name, const int64_t* numbers) {
  const Kernels& kernels = kernels_of(name);
  return for_rows<Moments>(numbers, [&](const Moments& m, int64_t row) {
    const float* x = m.x + row * m.size;
    m.mean[row] = kernels.mean(x, m.size);
    m.variance[row] = kernels.squares(x, m.mean[row], m.size) / m.size;
  });
}

int epsanet_affine(const char* name, const int64_t* numbers) { return for_rows<Affine>(numbers, kernels_of(name).affine); }

// Both are given an AffineGradient, of which the first writes the sums and the second the gradients.
int epsanet_affine_sums(const char* name, const int64_t* numbers) {
  return for_rows<AffineGradient>(numbers, kernels_of(name).affine_sums);
}
int epsanet_affine_gradient(const char* name, const int64_t* numbers) {
  return for_rows<AffineGradient>(numbers, kernels_of(name).affine_gradient);
}
}
