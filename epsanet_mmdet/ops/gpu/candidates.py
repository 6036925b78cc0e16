"""The plans that are worth measuring for a convolution, the rule's first."""

from itertools import product
from math import ceil
from typing import Iterator, List

from .blocking import Blocking
from .choice import conv_rule, pointwise_rule
from .compute import Compute
from .plan import BLOCKS, FLOAT32, HALF, ConvPlan, ConvShape
from .tiles import ConvTile, PointwiseTile

MOST = 24
MOST_TILES = 6  # of a blocking
MOST_COLUMNS = 128


def conv_candidates(shape: ConvShape, pixels: int, compute: Compute) -> List[ConvPlan]:
    """Return plans of a convolution, those with the least modelled work.

    Args:
        shape: The convolution.
        pixels: Pixels of the output, of all images.
        compute: What computes.
    """
    rule = conv_rule(shape, pixels, compute)

    def work(plan: ConvPlan) -> float:
        return _work(shape, plan, pixels, compute)

    plans = []
    for blocking in _blockings(shape):
        tiles = _tiles(_columns(shape, blocking), compute)
        plans.append(sorted((ConvPlan(blocking, ConvTile(*t)) for t in tiles), key=work))
    best = sorted(filter(None, plans), key=lambda own: work(own[0]))
    return _first(rule, [plan for own in best for plan in own[:MOST_TILES]])


def pointwise_candidates(
    pixels: int, inputs: int, outputs: int, compute: Compute
) -> List[PointwiseTile]:
    """Return tiles of a 1x1 convolution, likewise.

    Args:
        pixels: Pixels of the output, of all images.
        inputs: Input channels.
        outputs: Output channels.
        compute: What computes.
    """
    rule = pointwise_rule(pixels, inputs, outputs, compute)
    found = [
        PointwiseTile(rows, columns, *rest)
        for columns in (32, 64, 128)
        if outputs % columns == 0
        for rows, *rest in _tiles(columns, compute)
        if inputs % rest[0] == 0
    ]

    def work(tile: PointwiseTile) -> float:
        programs = ceil(pixels / tile.pixels) * (outputs // tile.outputs)
        loads = inputs * (tile.pixels + tile.outputs)
        return _waves(programs, compute) * (tile.pixels * tile.outputs * inputs + 32 * loads)

    return _first(rule, sorted(found, key=work))


def _first(rule, found: list) -> list:
    return [rule, *(plan for plan in found if plan != rule)][:MOST]


def _blockings(shape: ConvShape) -> Iterator[Blocking]:
    merged = shape.groups
    while True:
        inputs, outputs = shape.inputs // merged, shape.outputs // merged
        last = merged % 2 or inputs >= 64
        if inputs >= 16 or last:
            for rows, columns in BLOCKS:
                split = max(1, outputs * rows * columns // MOST_COLUMNS)
                if outputs % split == 0 and outputs // split * rows * columns >= 16:
                    rest = shape.size, shape.stride, shape.dilation
                    yield Blocking(shape.groups, merged, split, rows, columns, *rest)
        if last:
            return
        merged //= 2


def _columns(shape: ConvShape, blocking: Blocking) -> int:
    return blocking.pixels * shape.outputs // blocking.products


def _tiles(columns: int, compute: Compute) -> Iterator[tuple]:
    """Yield rows, depths, warps and stages that fit into registers and shared memory."""
    size = compute.dtype.itemsize
    deep, shallow = (64, 32) if compute.precision == HALF else (32, 16)
    pipelines = (deep, 3), (deep, 2), (shallow, 4)
    for (depth, stages), rows, warps in product(pipelines, (64, 128), (4, 8)):
        sums = rows * columns // (32 * warps)  # of a thread
        most = 64 if compute.precision == FLOAT32 else 128  # three products at a time
        fits = stages * (rows + columns) * depth * size <= compute.shared_memory
        if fits and sums <= most and (warps == 4 or sums >= 16):
            yield rows, depth, warps, stages


def _work(shape: ConvShape, plan: ConvPlan, pixels: int, compute: Compute) -> float:
    """Return a measure of the time: products and loads, times the waves of programs."""
    blocking, tile = plan
    columns, window = _columns(shape, blocking), blocking.window
    depth = window[0] * window[1] * shape.inputs // blocking.merged
    depth = ceil(depth / tile.depth) * tile.depth
    programs = ceil(pixels / blocking.pixels / tile.blocks) * blocking.products
    loads = depth * (tile.blocks + columns)
    # Shared memory is read several times more slowly than tensor cores multiply.
    return _waves(programs, compute) * (tile.blocks * columns * depth + 32 * loads)


def _waves(programs: int, compute: Compute) -> float:
    return max(1.0, programs / compute.multiprocessors)
