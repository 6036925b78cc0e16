#define ISA plain
#define LANES 4
#define WIDEST 2
#include "kernels.h"
