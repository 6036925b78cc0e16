"""Measuring networks side by side."""

from typing import Callable, List, NamedTuple, Optional, Sequence

import torch

from ..errors import ArgumentError, ConfigError
from ..utils.device import usable_device
from .memory import peak_bytes, saved_bytes
from .networks import Network, build_network, is_for_inference, split_options
from .passes import INFERENCE, PRECISIONS, TRAINING, Input, make_pass
from .timing import time_interleaved
from .work import Work, count_work


class Measurement(NamedTuple):
    """What a network costs in one task at one input.

    Attributes:
        name: Network, with its options.
        task: ``'inference'`` or ``'training'`` (forward and backward).
        input: Size of the batch.
        seconds: Median time.
        spread: Interquartile range of the times over their median.
        ratio: Median, over the rounds, of the time over the baseline's in that round.
        ratio_spread: Interquartile range of these ratios.
        images_per_second: Throughput at the median time.
        work: FLOPs and bytes of the pass.
        flops_ratio: These FLOPs over the baseline's.
        saved_bytes: What a forward pass in training keeps for the backward pass.
        peak_bytes: The most that tensors take at a time, over what is there between passes.
    """

    name: str
    task: str
    input: Input
    seconds: float
    spread: float
    ratio: float
    ratio_spread: float
    images_per_second: float
    work: Work
    flops_ratio: float
    saved_bytes: Optional[int]
    peak_bytes: int


def measure(
    names: Sequence[str],
    inference: Sequence[Input] = (Input(1, 320, 320),),
    training: Sequence[Input] = (Input(2, 224, 224),),
    repeats: int = 10,
    device: Optional[str] = None,
    precision: str = 'fp32',
    progress: Callable[[str], None] = lambda line: None,
) -> List[Measurement]:
    """Measure networks side by side; the first is the baseline.

    Every round runs each network once, so that a change of the machine's speed meets all.
    Networks that are for inference only are left out of training.

    Args:
        names: As of :func:`build_network`.
        inference: Inputs of forward passes in evaluation.
        training: Inputs of forward and backward passes in training.
        repeats: Number of rounds, after one that does not count.
        device: A GPU if there is one.
        precision: ``'fp32'``, ``'tf32'``, ``'bf16'`` or ``'fp16'``, the latter two by autocast.
        progress: Called with a line on what is being done.

    Raises:
        ArgumentError: If the arguments do not fit together.
        ConfigError: If a network or device does not exist, or a network does not run.
    """
    device = usable_device(device)
    names = list(dict.fromkeys(names))
    if repeats < 1:
        raise ArgumentError(f'repeats={repeats} leaves nothing to measure; give at least 1')
    for name in names:
        split_options(name)  # says what is wrong before anything is built
    if training and is_for_inference(split_options(names[0])[1]):
        raise ArgumentError(f'{names[0]} cannot be trained; leave out training, or the option')
    networks = []
    for name in names:
        progress(f'building {name}')
        networks.append(build_network(name, device))
    measurements = []
    for task, inputs in ((INFERENCE, inference), (TRAINING, training)):
        able = [n for n in networks if task == INFERENCE or n.trainable]
        for size in inputs:
            progress(f'{task} at {size}')
            measurements += _measure_input(able, task, size, repeats, device, precision, progress)
    return measurements


def _measure_input(
    networks: Sequence[Network],
    task: str,
    size: Input,
    repeats: int,
    device: torch.device,
    precision: str,
    progress: Callable[[str], None],
) -> List[Measurement]:
    passes, memory, work = [], [], []
    for network in networks:
        progress(f'memory of {network.name}')
        run = make_pass(network, task, size, device, precision)
        try:
            run()  # compiles, allocates, plans
        except (RuntimeError, ValueError) as error:  # out of memory, too small for a norm, ...
            reason = f'{type(error).__name__}: {error}'.splitlines()[0]
            raise ConfigError(f'{network.name} fails in {task} at {size}: {reason}')
        network.module.zero_grad(set_to_none=True)  # so that gradients count in the peak
        saved = saved_bytes(network.module, run.loss) if task == TRAINING else None
        memory.append((saved, peak_bytes(run, device)))
        work.append(_work(network, task, size, device, precision))
        passes.append(run)
    timings = time_interleaved(passes, repeats, device, progress)
    return [
        Measurement(
            network.name,
            task,
            size,
            timing.median,
            timing.spread,
            timing.ratio,
            timing.ratio_spread,
            size.batch / timing.median,
            work[i],
            work[i].flops / work[0].flops,
            *memory[i],
        )
        for i, (network, timing) in enumerate(zip(networks, timings))
    ]


def _work(network: Network, task: str, size: Input, device: torch.device, precision: str) -> Work:
    plain = network._replace(module=network.plain, options=())
    run = make_pass(plain, task, size, device, precision)
    forward = run if task == INFERENCE else run.loss
    return count_work(network.plain, forward, PRECISIONS[precision].itemsize)
