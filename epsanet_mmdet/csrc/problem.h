// What the kernels are told. Sizes in elements.
#pragma once
#include <cstdint>

enum { MAX_KERNEL = 32 };

// Kernel rows that fall on one plane of the padded copy: first, first + step, ...; each a row lower there.
struct Phase {
  int64_t first, step, count, offset;
};

// One grouped correlation of the problem's input.
struct Correlation {
  // As given: outputs and inputs are per group, out_* are strides of the output.
  const float* weight;
  float* out;
  int64_t groups, outputs, inputs, kh, kw, shift_y, shift_x, dilation;
  int64_t out_h, out_w, out_n, out_c, out_y, out_x, accumulate;
  // As derived.
  int64_t filter;                          // weights of an output channel
  int64_t phases, column[MAX_KERNEL], row;  // where the taps lie in the padded copy
  Phase phase[MAX_KERNEL];
  int64_t spacing;                         // between output rows that share input rows
  bool flat;                               // whether the map is treated as one long row
  int64_t vectors, together;               // vectors of a tile, and output channels
  int64_t chunks, places, parts;           // how the work is split
};

// A map and its padded copy.
struct Problem {
  // As given: (n, channels, h, w), contiguous but for x_n, the stride of n.
  const float* x;
  int64_t n, channels, h, w, x_n, stride, pad, threads;
  // As derived.
  float* padded;
  int64_t pitch, plane, channel;  // of a row, of a plane, and of all planes of a channel
};

// The gradient of one grouped convolution with respect to its weight.
struct Gradient {
  // As given. The weight is contiguous, of square kernels; grad_* are strides of the output's gradient.
  const float* grad;
  float* out;
  int64_t groups, outputs, inputs, size, shift, dilation, out_h, out_w, grad_n, grad_c;
  // As derived: the output's gradient with the input's pitch and zeros around, plane by plane.
  float* padded;
  int64_t plane, margin;
};

struct Kernels {
  const char* name;
  int64_t lanes, widest;
  void (*correlate)(const Problem&, const Correlation&, int64_t part);
  void (*weight_gradient)(const Problem&, const Gradient&, int64_t part);
};
