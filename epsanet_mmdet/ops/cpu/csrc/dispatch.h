// What the entry points share: the choice of an instruction set, and each thread's room.
#pragma once
#include <cstddef>
#include <cstring>

#include "problem.h"

const Kernels& kernels_of(const char* name);  // one of those that epsanet_instruction_set gives

// The calling thread's room for that many floats, kept from call to call, for itself or for what it shares with the
// threads that it starts; null if memory is short.
enum Use { OWN, SHARED };
float* room(int64_t size, Use use = OWN);

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
