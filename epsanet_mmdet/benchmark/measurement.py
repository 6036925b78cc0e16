"""Measure networks side by side."""

from typing import Callable, List, NamedTuple, Optional, Sequence

import torch

from ..errors import ArgumentError, ConfigError
from ..utils.device import usable_device
from .memory import activation_bytes, peak_bytes
from .networks import Network, build_network, split_options
from .passes import INFERENCE, PRECISIONS, TRAINING, Input, make_pass
from .timing import time_interleaved
from .work import Work, count_work


class Measurement(NamedTuple):
    """Costs of a network in one task at one input size.

    Attributes:
        name: Network, with its options.
        task: ``'inference'`` or ``'training'`` (forward and backward).
        input: Size of the batch.
        seconds: Median time.
        relative_iqr: Interquartile range of the times relative to their median.
        ratio: Median over the rounds of the time relative to the baseline.
        ratio_iqr: Interquartile range of these ratios.
        images_per_second: Throughput at the median time.
        work: FLOPs and bytes of the pass.
        flops_ratio: FLOPs relative to the baseline.
        activation_bytes: Activation memory of a training step; None in inference.
        peak_bytes: Peak of the memory that a pass allocates.
    """

    name: str
    task: str
    input: Input
    seconds: float
    relative_iqr: float
    ratio: float
    ratio_iqr: float
    images_per_second: float
    work: Work
    flops_ratio: float
    activation_bytes: Optional[int]
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

    Every round runs each network once, so that a change in the machine's speed affects all of them.
    Deployed networks are left out of training.

    Args:
        names: Names for :func:`build_network`.
        inference: Input sizes of forward passes in evaluation mode.
        training: Input sizes of forward and backward passes in training mode.
        repeats: Number of rounds, after one for warming up.
        device: A GPU if there is one, by default.
        precision: ``'fp32'``, ``'tf32'``, ``'bf16'`` or ``'fp16'``; the latter two use autocast.
        progress: Called with a line about each step.

    Raises:
        ArgumentError: If an argument is wrong or the arguments contradict each other.
        ConfigError: If a network or the device does not exist, or a network fails to run.
    """
    device = usable_device(device)
    names = list(dict.fromkeys(names))
    if repeats < 1:
        raise ArgumentError(f'repeats={repeats} measures nothing; use at least 1')
    for name in names:
        split_options(name)  # raises before anything is built
    if training and 'deploy' in split_options(names[0])[1]:
        raise ArgumentError(f'{names[0]} cannot be trained; leave out training or +deploy')
    networks = []
    for name in names:
        progress(f'building {name}')
        networks.append(build_network(name, device))
    measurements = []
    for task, inputs in ((INFERENCE, inference), (TRAINING, training)):
        selected = [n for n in networks if task == INFERENCE or 'deploy' not in n.options]
        for size in inputs:
            progress(f'{task} at {size}')
            measurements += _measure_input(
                selected, task, size, repeats, device, precision, progress
            )
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
            run()  # compile, allocate, plan
        except (RuntimeError, ValueError) as error:  # out of memory, too small for a norm, ...
            reason = f'{type(error).__name__}: {error}'.splitlines()[0]
            raise ConfigError(f'{network.name} fails in {task} at {size}: {reason}')
        network.module.zero_grad(set_to_none=True)  # so that gradients count in the peak
        saved = activation_bytes(network.module, run.loss) if task == TRAINING else None
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
            timing.relative_iqr,
            timing.ratio,
            timing.ratio_iqr,
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
