"""Benchmarking from the command line: measure, print, keep, and check against what is expected."""

from typing import Callable, Optional, Sequence

import torch

from ..errors import ArgumentError
from ..utils.device import usable_device
from ..utils.storage import check_file_writable, write_whole
from .expectation import check_expectations, parse_expectation
from .measurement import measure
from .passes import choose_precision, parse_input
from .table import as_json, describe_machine, format_tables
from .work import higher, measure_ceilings


def run_benchmark(
    networks: Sequence[str],
    baseline: str = 'resnet50',
    inference: Sequence[str] = (),
    training: Sequence[str] = (),
    repeats: int = 10,
    device: Optional[str] = None,
    precision: str = 'fp32',
    threads: Optional[int] = None,
    out: Optional[str] = None,
    expect: Sequence[str] = (),
    progress: Callable[[str], None] = lambda line: None,
    write: Callable[[str], None] = print,
) -> None:
    """Measure networks beside a baseline and write tables, and check the ratios expected.

    Args:
        networks: As of :func:`epsanet_mmdet.benchmark.build_network`.
        baseline: What the others are relative to.
        inference: Inputs of inference, ``BATCHxHEIGHTxWIDTH``.
        training: Inputs of training steps.
        repeats: Rounds, in each of which all run.
        device: A GPU if there is one.
        precision: ``'fp32'``, ``'tf32'``, ``'bf16'`` or ``'fp16'``.
        threads: Of a CPU; as torch chooses by default.
        out: JSON file to write.
        expect: ``NAME<=RATIO`` or ``NAME@TASK<=RATIO``.
        progress: Called with a line on what is being done.
        write: Called with the tables, and with what was expected and kept.

    Raises:
        ExpectationError: If a ratio is above what was expected, after all else is done.
        UserError: If something asked for does not exist or cannot be.
    """
    names = [baseline, *networks]
    sizes = [[parse_input(text) for text in texts] for texts in (inference, training)]
    expectations = [parse_expectation(text, names) for text in expect]
    if not any(sizes):
        raise ArgumentError('there is nothing to measure; give inputs of inference or training')
    if threads is not None:
        if threads < 1:
            raise ArgumentError(f'threads={threads} cannot compute; give at least 1')
        torch.set_num_threads(threads)
    if out:
        check_file_writable(out)
    used = usable_device(device)
    machine = describe_machine(used)
    dtype = choose_precision(precision, used)
    progress('what the machine reaches at most')
    before = measure_ceilings(used, dtype)
    measurements = measure(names, *sizes, repeats, device, precision, progress)
    ceilings = higher(before, measure_ceilings(used, dtype))  # its speed may have changed
    settings = dict(**machine, precision=precision, repeats=repeats)
    if out:
        write_whole(as_json(measurements, settings, ceilings), out)
    write(', '.join(f'{key} {value}' for key, value in settings.items()) + '\n')
    write(format_tables(measurements, ceilings))
    for line in check_expectations(expectations, measurements):
        write(line)
