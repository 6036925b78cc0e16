"""Implementations for CPUs: C++ kernels (``csrc``), and the operators of torch that call them."""
