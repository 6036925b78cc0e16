"""Implementations for CPUs: kernels in C++ (``csrc``) and the operators that call them."""
