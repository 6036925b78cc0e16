"""Benchmarks from the command line: measure, print, save and check against expected ratios."""

from typing import Callable, List, Optional, Sequence

import torch

from ..errors import ArgumentError
from ..utils.device import usable_device
from ..utils.storage import check_file_writable, write_whole
from .expectation import check_expectations, parse_expectation
from .machine import describe_machine
from .measurement import measure
from .networks import split_options
from .passes import choose_precision, parse_input
from .table import as_json, format_tables
from .tuning import tune_plans
from .work import Work, measure_peaks


def run_benchmark(
    networks: Sequence[str],
    baseline: str = 'resnet50',
    also: Sequence[str] = (),
    inference: Sequence[str] = (),
    training: Sequence[str] = (),
    repeats: int = 10,
    device: Optional[str] = None,
    precision: str = 'fp32',
    threads: Optional[int] = None,
    out: Optional[str] = None,
    expect: Sequence[str] = (),
    tune: Optional[str] = None,
    progress: Callable[[str], None] = lambda line: None,
    write: Callable[[str], None] = print,
) -> None:
    """Measure networks and a baseline, write tables, and check the expected ratios.

    Args:
        networks: Names for :func:`epsanet_mmdet.benchmark.build_network`.
        baseline: Name of the network that the ratios refer to.
        also: Options, joined by ``+`` if several, with which all of these are measured once more.
        inference: Input sizes for inference, ``BATCHxHEIGHTxWIDTH``.
        training: Input sizes for training steps.
        repeats: Number of rounds; each round runs every network once.
        device: A GPU if there is one, by default.
        precision: ``'fp32'``, ``'tf32'``, ``'bf16'`` or ``'fp16'``.
        threads: Number of CPU threads; torch's default if None.
        out: JSON file to write.
        expect: Upper bounds, ``NAME<=RATIO`` or ``NAME@TASK<=RATIO``.
        tune: JSON file to write with plans of the GPU kernels, measured before everything else.
        progress: Called with a line about each step.
        write: Called with the tables and the expected ratios that hold.

    Raises:
        ExpectationError: If a ratio exceeds its bound, after everything else is done.
        UserError: If an argument is wrong, or something that it names does not exist.
    """
    names = with_variants([baseline, *networks], also)
    sizes = [[parse_input(text) for text in texts] for texts in (inference, training)]
    expectations = [parse_expectation(text, names) for text in expect]
    if not any(sizes):
        raise ArgumentError(
            'there is nothing to measure; give input sizes for inference or training'
        )
    if threads is not None:
        if threads < 1:
            raise ArgumentError(f'threads={threads} cannot run anything; use at least 1')
        torch.set_num_threads(threads)
    if out:
        check_file_writable(out)
    used = usable_device(device)
    machine = describe_machine(used)
    dtype = choose_precision(precision, used)
    if tune:
        tune_plans(names, [size for group in sizes for size in group], tune, used, dtype, progress)
    progress("the machine's peak rates")
    before = measure_peaks(used, dtype)
    measurements = measure(names, *sizes, repeats, device, precision, progress)
    progress("the machine's peak rates, again")
    peaks = Work(*map(max, before, measure_peaks(used, dtype)))  # the speed may have changed
    settings = dict(**machine, precision=precision, repeats=repeats)
    if out:
        write_whole(as_json(measurements, settings, peaks), out)
    write(', '.join(f'{key} {value}' for key, value in settings.items()) + '\n')
    write(format_tables(measurements, peaks, precision))
    for line in check_expectations(expectations, measurements):
        write(line)


def with_variants(names: Sequence[str], also: Sequence[str]) -> List[str]:
    """Return names of networks, each followed by its variants with more options.

    A variant that would repeat an option of its network is left out.

    Args:
        names: Names for :func:`epsanet_mmdet.benchmark.build_network`.
        also: Options of each variant, such as ``'compile'`` or ``'channels-last+compile'``.

    Raises:
        ArgumentError: If an option does not exist.
    """
    variants = []
    for name in names:
        base, own = split_options(name)
        variants.append(name)
        for options in also:
            if set(own).isdisjoint(split_options(f'{base}+{options}')[1]):
                variants.append(f'{name}+{options}')
    return variants
