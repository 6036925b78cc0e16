// What the kernels are told. Sizes and strides in floats.
#pragma once
#include <cstdint>

enum { MAX_KERNEL = 32 };

// The input of convolutions: (n, channels, h, w), contiguous but for x_n, the stride of n.
struct Map {
  const float* x;
  int64_t n, channels, h, w, x_n, stride, threads;
};

// A padded copy of some rows of some channels, small enough for the cache. With a stride s it is dealt out into s x s
// planes by the remainders of row and column, so that every tap reads consecutive floats.
struct Band {
  int64_t rows, count;                   // output rows, and how many bands a map has
  int64_t pad, pitch, plane, channel;    // zeros around; of a row, of a plane, of all planes of a channel
};

// Kernel rows that fall on one plane: first, first + step, ...; each one row lower there.
struct Phase {
  int64_t first, step, count, offset;
};

// A grouped correlation of a map.
struct Correlation {
  // As given: outputs and inputs are per group; the first tap of the first output lies at (shift_y, shift_x) of the map
  // with `pad` zeros around; out_* are strides of the output.
  const float* weight;
  float* out;
  int64_t groups, outputs, inputs, kh, kw, pad, shift_y, shift_x, dilation;
  int64_t out_h, out_w, out_n, out_c, out_y, out_x, accumulate;
  // As derived.
  Band band;
  int64_t filter;                            // weights of an output channel
  int64_t phases, column[MAX_KERNEL], row;   // where the taps lie in the band; between rows of one phase
  Phase phase[MAX_KERNEL];
  bool flat;                                 // whether a band is treated as one long row
  int64_t vectors, together;                 // vectors of a tile, and its output channels
  int64_t joined;                            // how many, from this one on, are computed from the same bands
};

// The gradient of a grouped convolution with respect to its weight.
struct Gradient {
  // As given. The weight is contiguous, of square kernels; grad_* are strides of the output's gradient.
  const float* grad;
  float* out;
  int64_t groups, outputs, inputs, size, dilation, out_h, out_w, grad_n, grad_c;
  // As derived. The output's gradient gets rows of zeros around and the band's pitch.
  Band band;
  int64_t together, margin, plane;
};

// A 1x1 convolution of all channels, of what is affine in each of its channels and a ReLU before it, if wanted, and what
// comes after it: out = relu(scale * (weight * relu(in_scale * x + in_shift)) + shift + add).
struct Pointwise {
  Map map;
  const float* weight;               // (outputs, channels)
  const float *scale, *shift;        // (outputs)
  const float *in_scale, *in_shift;  // (n, channels) and (channels), or null
  const float* add;                  // as out, or null
  float* out;                        // (n, outputs, out_h, out_w), contiguous
  int64_t outputs, out_h, out_w, relu;
  int64_t turned;                    // whether the weight is (channels, outputs)
};

// Max pooling by 3x3 with stride 2 and one row and column of padding: out = pool(relu(scale * x + shift)).
struct Pool {
  const float* x;  // (n, channels, h, w), contiguous, as out
  int64_t n, channels, h, w, threads;
  const float *scale, *shift;  // (channels)
  float* out;
  int64_t out_h, out_w;
};

// PSA's attention of features (n, branches, channels, size), contiguous.
struct Attention {
  const float* x;
  int64_t n, branches, channels, size, threads;
  const float *weight1, *bias1, *weight2, *bias2;  // (hidden, channels), (hidden), (channels, hidden), (channels)
  float* out;                                      // (n, branches, channels)
  int64_t hidden;
};

// Mean and variance of each row, (rows, size), contiguous, as all maps below.
struct Moments {
  const float* x;
  int64_t rows, size, threads;
  float *mean, *variance;  // (rows)
};

// out = relu(scale * x + shift + add).
struct Affine {
  const float* x;
  int64_t rows, size, threads;
  const float *scale, *shift;  // (rows)
  const float* add;            // or null
  float* out;
  int64_t relu;
};

// Its gradients, where scale and shift depend on x by its moments: first the sums of grad and of grad * (x - centre),
// of what the ReLU let through; then grad_x = grad * scale + (x - centre) * slope + constant, and grad_add.
struct AffineGradient {
  const float* x;
  int64_t rows, size, threads;
  const float *scale, *shift, *centre;  // (rows)
  const float* out;                     // of the ReLU; null if it is to be computed again from x
  const float* grad;
  float *sums, *centred_sums;            // (rows)
  const float *slope, *constant;         // (rows)
  float *grad_x, *grad_add;              // grad_add or null
  int64_t relu;
};

// A batch norm of attention * x, or of x if there is none, as scale * x + shift.
struct Norm {
  int64_t n, channels;
  const float *mean, *variance, *attention;  // (n, channels), of x; the variance may be null in evaluation
  const float *weight, *bias;                // (channels)
  double eps;
  int64_t learns;           // whether centre and spread are the batch's, to be written, or given
  float *centre, *spread;   // (channels)
  float* inverse;           // (channels), of the deviation
  float *scale, *shift;     // (n, channels)
};

// Its gradients, from the sums of an AffineGradient around the mean, and that one's slope and constant, which are yet
// without what goes through the attention.
struct NormGradient {
  int64_t n, channels, pixels, learns;
  const float *mean, *variance, *attention;
  const float *weight, *centre, *inverse;
  const float *sums, *centred_sums;                         // (n, channels)
  float *grad_weight, *grad_bias;                           // (channels)
  float *slope, *constant, *grad_attention;                 // (n, channels), the last or null
};

// The first two work on one band of one group: `in` is the padded copy. The third gives `count` pixels, from `first` on,
// of the outputs from `begin` to `end` of image n. The last three are for one row.
struct Kernels {
  const char* name;
  int64_t lanes, widest;
  void (*correlate)(const Correlation&, const float* in, const float* weight, float* out, int64_t rows);
  void (*weight_gradient)(const Gradient&, int64_t stride, const float* in, const float* grad, float* out,
                          int64_t outputs, int64_t rows);
  void (*pointwise)(const Pointwise&, int64_t n, int64_t first, int64_t count, int64_t begin, int64_t end,
                    float* scratch);
  void (*max_pool)(const Pool&, const float* x, float scale, float shift, float* out, float* scratch);
  float (*mean)(const float* x, int64_t count);
  float (*squares)(const float* x, float centre, int64_t count);  // sum of (x - centre)^2
  void (*affine)(const Affine&, int64_t row);
  void (*affine_sums)(const AffineGradient&, int64_t row);
  void (*affine_gradient)(const AffineGradient&, int64_t row);
};
