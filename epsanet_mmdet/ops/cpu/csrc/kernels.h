// The kernels, compiled once per instruction set: the including file names it (ISA) and says how many floats a
// vector has (LANES), how many vectors a row of accumulators may have (WIDEST), and how many output channels of three
// vectors each the registers hold (TALLEST).

#include "affine.h"
#include "attention.h"
#include "correlation.h"
#include "pointwise.h"
#include "pool.h"
