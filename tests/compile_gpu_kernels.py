"""Compile the Triton kernels of EPSANet-50 without a GPU, and print what they use.

    python tests/compile_gpu_kernels.py --arch small large --capability 80 89 90

prints the registers, the bytes spilled to local memory and the shared memory of each kernel, and
exits with status 1 if one exceeds the shared memory of a GPU, or spills more than --spill bytes. It
needs Triton, whose package contains the assembler.
"""

import re
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple
from unittest import mock

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.block import block_parts
from epsanet_mmdet.ops.gpu.branch_gradients import weight_gradients
from epsanet_mmdet.ops.gpu.branches import geometry
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.evaluation import EvaluatedBlock
from epsanet_mmdet.ops.gpu.packing import packing
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF, TF32
from epsanet_mmdet.ops.parts import Branches

# Shared memory that a program may use, of NVIDIA's programming guide, and multiprocessors of an
# A100, an RTX 4090 and an H100.
GPUS = {80: (163 * 1024, 108), 86: (99 * 1024, 84), 89: (99 * 1024, 128), 90: (227 * 1024, 132)}
PRECISIONS = {
    'bf16': (torch.bfloat16, HALF),
    'fp16': (torch.float16, HALF),
    'tf32': (torch.float32, TF32),
    'fp32': (torch.float32, FLOAT32),
}


class Usage(NamedTuple):
    """What a compiled kernel uses: registers per thread, the others in bytes."""

    kernel: str
    registers: int
    spilled: int
    shared: int


class _Driver:
    """A driver of a GPU that is not there; its number is its capability."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget('cuda', self.capability, 32)


@contextmanager
def compiled(capability: int) -> Iterator[Dict[str, object]]:
    """Compile kernels in place of launching them, and collect them by what they were compiled for.

    Args:
        capability: Compute capability times ten.
    """
    kernels, launch = {}, JITFunction.run
    active = triton.runtime.driver._active

    def compile_only(self, *args, grid, warmup, **kwargs):
        kernel = launch(self, *args, grid=grid, warmup=True, **kwargs)
        sizes = {k: v for k, v in kwargs.items() if k.isupper() or k.startswith('num')}
        kernels[f'{self.__name__} {sizes}'] = kernel
        return kernel

    triton.runtime.driver.set_active(_Driver(capability))
    try:
        with mock.patch.object(JITFunction, 'run', compile_only):
            yield kernels
    finally:
        triton.runtime.driver._active = active


def usage(name: str, kernel) -> Usage:
    """Return what a compiled kernel uses."""
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(kernel.asm['cubin'])
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, '--dump-resource-usage', file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = dict(re.findall(r'(REG|STACK|LOCAL):(\d+)', text))
    spilled = max(int(found['STACK']), int(found['LOCAL']))
    return Usage(name, int(found['REG']), spilled, kernel.metadata.shared)


def network_kernels(
    arch: str,
    precision: str,
    capability: int,
    images: int = 2,
    height: int = 800,
    width: int = 1280,
    stages: int = 4,
) -> List[Usage]:
    """Return what kernels of EPSANet-50 use: in evaluation, and for gradients of branches' weights.

    Args:
        arch: ``'small'`` or ``'large'``.
        precision: One of :data:`PRECISIONS`.
        capability: Compute capability times ten.
        images: Images of a batch.
        height: Their height.
        width: Their width.
        stages: Stages of the network.
    """
    shared, multiprocessors = GPUS[capability]
    compute = Compute(*PRECISIONS[precision], multiprocessors, shared, capability == 90)
    network = EPSANet(50, arch).eval().to('meta')
    with compiled(capability) as kernels, torch.no_grad():
        sides, channels = [-(-side // 4) for side in (height, width)], 64
        x = torch.empty(images, *sides, channels, dtype=compute.dtype, device='meta')
        for stage in network.res_layers[:stages]:
            for block in list(getattr(network, stage))[:2]:  # the others are like the second
                parts = block_parts(block, x.shape[3])
                _launch_weight_gradients(parts.branches, x, compute)
                x = EvaluatedBlock(parts, compute)(x)
    return [usage(name, kernel) for name, kernel in kernels.items()]


def _launch_weight_gradients(branches: Branches, x: torch.Tensor, compute: Compute) -> None:
    own = geometry(branches, len(x), x.shape[1:3], compute)
    shapes = tuple(weight.shape for weight in branches.weights)
    packed = packing(shapes, own.plans, False, x.device)
    padded, _ = own.pad(x, branches.in_channels)
    grad = x.new_empty(len(x), *own.out, len(shapes) * branches.width)
    total = x.new_empty(len(packed.index), dtype=torch.float32)
    for launch in weight_gradients(own, packed, padded, grad, total):
        launch()


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', nargs='+', default=['small', 'large'])
    parser.add_argument('--precision', nargs='+', default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument('--capability', nargs='+', type=int, default=[80, 89, 90], choices=GPUS)
    parser.add_argument('--size', nargs=3, type=int, default=[2, 800, 1280], help='images, h, w')
    parser.add_argument('--spill', type=int, default=256, help='bytes a thread may spill')
    parser.add_argument('--stages', type=int, default=4, help='stages of the networks')
    args = parser.parse_args()
    failures = 0
    for capability in args.capability:
        for precision in args.precision:
            for arch in args.arch:
                found = network_kernels(arch, precision, capability, *args.size, args.stages)
                limit = GPUS[capability][0]
                print(
                    f'sm_{capability} {precision} {arch}: {len(found)} kernels, at most '
                    f'{max(u.registers for u in found)} registers, '
                    f'{max(u.spilled for u in found)} bytes spilled, '
                    f'{max(u.shared for u in found)} of {limit} bytes shared',
                    flush=True,
                )
                for each in found:
                    if each.spilled > args.spill or each.shared > limit:
                        failures += 1
                        print('  ', *each)
    sys.exit(failures > 0)


if __name__ == '__main__':
    main()
