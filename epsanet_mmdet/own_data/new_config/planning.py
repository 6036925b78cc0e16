"""Choosing image scale, batch size and schedule, with reasons."""

import math
from dataclasses import dataclass
from statistics import median
from typing import Tuple

import torch

from ..formats.split import Split
from ..lint.decoding import cpu_count
from ..lint.sets import object_sizes
from .weights import StartingWeights

COCO_SCALE = (1333, 800)
CPU_SCALE = (640, 480)  # a CPU takes seconds for each such image
SMALL = 32  # pixels of an object's side, under which detectors find few
GIB_PER_IMAGE = 4  # of GPU memory in training at COCO's scale
EPOCHS = (12, 72)  # least and most
SCRATCH_EPOCHS = 120  # most, from random weights


@dataclass
class Machine:
    """The machine to train on: GPU memory in GiB (0 without a GPU), and number of CPU cores."""

    gpu_gib: float
    cores: int

    @classmethod
    def this(cls) -> 'Machine':
        gib = 0.0
        if torch.cuda.is_available():
            gib = torch.cuda.get_device_properties(0).total_memory / 2**30
        return cls(gib, cpu_count())


@dataclass
class Plan:
    """The chosen settings; the texts explain them."""

    scale: Tuple[int, int]
    scale_why: str
    small_anchors: bool
    batch: int
    batch_why: str
    workers: int
    epochs: int
    epochs_why: str
    warmup: int
    steps: int  # batches in the training
    weights: StartingWeights


def make_plan(train: Split, machine: Machine, weights: StartingWeights) -> Plan:
    """Choose settings that fit a data set and a machine.

    Args:
        train: The images and objects to train on.
        machine: The machine to train on.
        weights: The starting weights.
    """
    count = len(train.images)
    scale, scale_why, factor = _scale(train, machine)
    batch, batch_why = _batch(count, scale, machine)
    epochs, epochs_why = _epochs(count, weights.scratch)
    steps = epochs * math.ceil(count / batch)
    return Plan(
        scale=scale,
        scale_why=scale_why,
        small_anchors=factor * median(object_sizes(train)) < SMALL,
        batch=batch,
        batch_why=batch_why,
        workers=max(1, min(4, machine.cores - 1)),
        epochs=epochs,
        epochs_why=epochs_why,
        warmup=max(1, min(500, steps // 10)),
        steps=steps,
        weights=weights,
    )


def _scale(train: Split, machine: Machine) -> Tuple[Tuple[int, int], str, float]:
    """Return the longer and the shorter side, the reason, and the factor to typical images."""
    sides = [sorted((image['width'], image['height'])) for image in train.images]
    short, long = (median(side) for side in zip(*sides))
    size = median(object_sizes(train))
    limit = COCO_SCALE if machine.gpu_gib else CPU_SCALE
    most = min(COCO_SCALE[0] / long, COCO_SCALE[1] / short)
    fitting = min(limit[0] / long, limit[1] / short)
    wanted = min(2.0, max(1.0, 1.5 * SMALL / size))  # small objects are enlarged
    factor = min(wanted, max(fitting, min(SMALL / size, most)))
    owner = "COCO's" if machine.gpu_gib else 'the CPU limit of'
    why = (
        f'images have {long:g}x{short:g} pixels and objects {size:.0f} (medians), which become '
        f'{factor * size:.0f} at this scale; it exceeds {owner} {limit[0]}x{limit[1]} only where '
        f'objects would otherwise be smaller than {SMALL}'
    )
    return (round(factor * long), round(factor * short)), why, factor


def _batch(count: int, scale: Tuple[int, int], machine: Machine) -> Tuple[int, str]:
    if not machine.gpu_gib:
        return min(2, count), 'no GPU was found. Training takes hours without one'
    share = scale[0] * scale[1] / (COCO_SCALE[0] * COCO_SCALE[1])
    fitting = machine.gpu_gib / (GIB_PER_IMAGE * max(share, 0.1))
    batch = 2 ** int(math.log2(max(1, min(16, int(fitting), count // 8))))
    return batch, f'fits a GPU of {machine.gpu_gib:.0f} GiB, with at least 8 steps per epoch'


def _epochs(count: int, scratch: bool) -> Tuple[int, str]:
    least, most = EPOCHS
    epochs = min(most, max(least, round(least * math.sqrt(10000 / count))))
    why = f'the fewer images ({count}), the more; from 10000 on 12, as for COCO'
    if scratch:
        return min(SCRATCH_EPOCHS, round(1.67 * epochs)), f'{why}, and more from random weights'
    return epochs, why
