"""Measure networks side by side."""

from typing import Callable, List, NamedTuple, Optional, Sequence

import torch

from ..errors import ArgumentError
from ..utils.device import usable_device
from .candidate import Candidate, prepare
from .failure import naming
from .gpu_time import has_gpu_time, measure_gpu_time
from .networks import build_network, find_peer, split_options
from .passes import INFERENCE, TRAINING, Input
from .timing import time_interleaved
from .work import Work

LAUNCH_BOUND = 1.3  # times as long as the GPU computes


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
        gpu_seconds: Time that the GPU computes; None on CPUs or if it cannot be measured.
        gpu_source: How it was measured, ``graph`` or ``profiler``.
        gpu_note: Why it was not measured by a CUDA graph.
        peer: The baseline with the same treatments, see :func:`find_peer`.
        peer_ratio: Median over the rounds of the time relative to the peer.
        peer_ratio_iqr: Interquartile range of these ratios.
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
    gpu_seconds: Optional[float] = None
    gpu_source: Optional[str] = None
    gpu_note: Optional[str] = None
    peer: Optional[str] = None
    peer_ratio: Optional[float] = None
    peer_ratio_iqr: Optional[float] = None

    @property
    def launch_bound(self) -> Optional[bool]:
        """True if the GPU waits for the CPU during much of the pass; None if unknown."""
        if self.gpu_seconds is None:
            return None
        return self.seconds > LAUNCH_BOUND * self.gpu_seconds


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
        repeats: Number of rounds, after those for warming up.
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
    measurements, steps = [], []
    for task, inputs in ((INFERENCE, inference), (TRAINING, training)):
        selected = [n for n in networks if task == INFERENCE or 'deploy' not in n.options]
        for size in inputs:
            progress(f'{task} at {size}')
            candidates = [
                prepare(network, task, size, device, precision, progress) for network in selected
            ]
            measurements += _time(candidates, task, size, repeats, device, progress)
            # Detectors wait for the GPU, and cannot be captured.
            steps += [(c.step, not c.network.is_detector) for c in candidates]
    if not has_gpu_time(device):
        return measurements
    return [_with_gpu_time(m, *step, device, progress) for m, step in zip(measurements, steps)]


def _time(
    candidates: Sequence[Candidate],
    task: str,
    size: Input,
    repeats: int,
    device: torch.device,
    progress: Callable[[str], None],
) -> List[Measurement]:
    def named(candidate: Candidate) -> Callable[[], None]:
        def run() -> None:
            with naming(candidate.network.name, task, size):
                candidate.run()

        return run

    timings = time_interleaved(list(map(named, candidates)), repeats, device, progress)
    names = [candidate.network.name for candidate in candidates]
    measurements = []
    for candidate, timing in zip(candidates, timings):
        work, peer = candidate.work, find_peer(candidate.network.name, names)
        to_peer = peer and timing.relative_to(timings[names.index(peer)])
        measurements.append(
            Measurement(
                candidate.network.name,
                task,
                size,
                timing.median,
                timing.relative_iqr,
                timing.ratio,
                timing.ratio_iqr,
                size.batch / timing.median,
                work,
                work.flops / candidates[0].work.flops,
                *candidate.memory,
                peer=peer,
                peer_ratio=to_peer and to_peer.ratio,
                peer_ratio_iqr=to_peer and to_peer.ratio_iqr,
            )
        )
    return measurements


def _with_gpu_time(
    m: Measurement,
    step: Callable[[], object],
    capturable: bool,
    device: torch.device,
    progress: Callable[[str], None],
) -> Measurement:
    progress(f"the GPU's time for {m.name} in {m.task} at {m.input}")
    gpu = measure_gpu_time(step, device, capturable)
    return m._replace(gpu_seconds=gpu.seconds, gpu_source=gpu.source, gpu_note=gpu.note)
