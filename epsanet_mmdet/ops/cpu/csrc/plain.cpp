#define ISA plain
#define LANES 4
#define WIDEST 2
#define TALLEST 4
#include "kernels.h"
