"""Networks that are ready to be timed in one task at one input size."""

from typing import Callable, NamedTuple, Optional, Tuple

import torch

from .failure import naming
from .gpu_time import capture
from .memory import activation_bytes, peak_bytes
from .networks import Network
from .passes import INFERENCE, PRECISIONS, TRAINING, Input, make_pass
from .work import Work, count_work


class Candidate(NamedTuple):
    """A network in one task at one input size.

    Attributes:
        network: The network.
        step: Its pass, launched operation by operation.
        run: The pass to time.
        work: FLOPs and bytes of the pass.
        memory: Activation memory and peak memory in bytes.
    """

    network: Network
    step: Callable[[], object]
    run: Callable[[], object]
    work: Work
    memory: Tuple[Optional[int], int]


def prepare(
    network: Network,
    task: str,
    size: Input,
    device: torch.device,
    precision: str,
    progress: Callable[[str], None],
) -> Candidate:
    """Run the first pass of a network, and measure its memory and its work.

    Args:
        network: Backbone or detector.
        task: ``'inference'`` or ``'training'``.
        size: Size of the batch.
        device: Device of the network.
        precision: One of the precisions of :func:`make_pass`.
        progress: Called with a line about each step.

    Raises:
        ConfigError: If the pass fails.
    """
    with naming(network.name, task, size):
        progress(f'first pass of {network.name}')
        step = make_pass(network, task, size, device, precision)
        step()  # compile, allocate, plan
        network.module.zero_grad(set_to_none=True)  # so that gradients count in the peak
        progress(f'memory of {network.name}')
        saved = activation_bytes(network.module, step.loss) if task == TRAINING else None
        memory = saved, peak_bytes(step, device)
        work = _work(network, task, size, device, precision)
        run = step
        if 'cudagraph' in network.options:
            progress(f'capturing {network.name}')
            run = capture(step, device)
    return Candidate(network, step, run, work, memory)


def _work(network: Network, task: str, size: Input, device: torch.device, precision: str) -> Work:
    plain = network._replace(module=network.plain, options=())
    run = make_pass(plain, task, size, device, precision)
    forward = run if task == INFERENCE else run.loss
    return count_work(network.plain, forward, PRECISIONS[precision].itemsize)
