"""Run by the new environment: import the stack, and print what it is and what it computes on."""

import platform

import mmcv
import mmdet
import torch
from mmcv.ops import get_compiling_cuda_version

import epsanet_mmdet  # noqa: F401

cuda = get_compiling_cuda_version()
operators = 'CPUs' if cuda == 'not available' else f'CUDA {cuda}'
print(
    f'[setup] ready: Python {platform.python_version()}, torch {torch.__version__},',
    f'mmcv {mmcv.__version__} for {operators}, mmdet {mmdet.__version__}',
)
