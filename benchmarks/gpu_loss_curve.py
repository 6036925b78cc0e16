"""Whether a training by the GPU kernels has the loss of one by torch's own operations.

    python benchmarks/gpu_loss_curve.py --iterations 200 --precision fp32

trains the demo's detector with a backbone of full width: by the kernels, twice by torch, and by
torch with another seed. It prints how far each loss is from the first of torch's. Two runs by torch
with one seed differ on a GPU, whose sums have no fixed order; the kernels should differ as little.
"""

import json
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict, List, Sequence

import numpy as np
import torch
from shapes_training import train, training_config

from epsanet_mmdet.benchmark.passes import choose_precision
from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.ops.gpu.setting import use_gpu_kernels
from epsanet_mmdet.utils.device import usable_device
from epsanet_mmdet.utils.storage import write_whole

WINDOW = 20  # iterations that the loss is averaged over
RUNS = {  # name -> whether the kernels are used, and the seed
    'torch': (False, 0),
    'torch again': (False, 0),
    'kernels': (True, 0),
    'another seed': (False, 1),
}


def loss_curves(
    iterations: int = 200,
    precision: str = 'fp32',
    batch_size: int = 4,
    size: int = 192,
    device: str = 'cuda',
) -> Dict[str, List[float]]:
    """Return the loss of each iteration of :data:`RUNS`.

    Args:
        iterations: Of each training; every image is seen once.
        precision: See :func:`~epsanet_mmdet.benchmark.passes.choose_precision`.
        batch_size: Images per iteration.
        size: Height and width of the images, pixels.
        device: Device that trains.
    """
    dtype = choose_precision(precision, usable_device(device))
    curves = {}
    with TemporaryDirectory() as folder:
        data = str(Path(folder, 'data'))
        write_shapes(data, train=iterations * batch_size, val=1, size=size)
        for name, (kernels, seed) in RUNS.items():
            config = training_config(data, folder, seed, batch_size, size, learning_rate=5e-4)
            if dtype != torch.float32:
                config.optim_wrapper.update(type='AmpOptimWrapper', dtype=str(dtype)[6:])
            with use_gpu_kernels(kernels):
                curves[name], _ = train(config, name.replace(' ', '-'))
    return curves


def difference(curve: Sequence[float], other: Sequence[float]) -> float:
    """Return the greatest difference of two losses, averaged over :data:`WINDOW` iterations."""
    window = np.ones(min(WINDOW, len(curve))) / min(WINDOW, len(curve))
    return float(np.abs(np.convolve(np.subtract(curve, other), window, 'valid')).max())


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--iterations', type=int, default=200)
    parser.add_argument('--precision', nargs='+', default=['fp32'])
    parser.add_argument('--out', help='JSON file to write with the losses')
    args = parser.parse_args()
    found = {}
    for precision in args.precision:
        curves = found[precision] = loss_curves(args.iterations, precision)
        for name in list(RUNS)[1:]:
            print(f'{precision}, {name}: {difference(curves[name], curves["torch"]):.4f}')
        if args.out:
            write_whole(json.dumps(found), args.out)


if __name__ == '__main__':
    main()
