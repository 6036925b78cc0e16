"""The work of a pass is that counted by hand, and peak rates are those of the fastest round."""

import itertools
import time

import pytest
import torch
from torch import nn

from epsanet_mmdet.benchmark.work import Work, count_work, measure_peaks

# Its maps are 4x6x6 and 8x3x3, its weights 4*8*9 and 8*10.
CONV, LINEAR = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), nn.Linear(72, 10)
NETWORK = nn.Sequential(CONV, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), LINEAR)
FLOPS = {CONV: 2 * 9 * 8 * 4 * 9, LINEAR: 2 * 72 * 10}  # of one image
VALUES = {CONV: 2 * (4 * 36 + 72) + 8 * 4 * 9, LINEAR: 2 * (72 + 10) + 72 * 10}  # of two


def work(x, value_bytes=4):
    return count_work(NETWORK, lambda: NETWORK(x), value_bytes)


def test_inference():
    with torch.no_grad():
        counted = work(torch.randn(2, 4, 6, 6))
    assert counted.flops == 2 * sum(FLOPS.values())
    assert counted.bytes == 4 * sum(VALUES.values())


def test_half_the_bytes_in_half_the_precision():
    x = torch.randn(2, 4, 6, 6)
    assert work(x, 2).bytes == work(x, 4).bytes / 2


def test_a_layer_works_again_for_each_gradient():
    # The images want no gradient.
    counted = work(torch.randn(2, 4, 6, 6))
    assert counted.flops == 2 * (2 * FLOPS[CONV] + 3 * FLOPS[LINEAR])
    assert counted.bytes == 4 * (2 * VALUES[CONV] + 3 * VALUES[LINEAR])


def test_frozen_layers_work_once():
    CONV.requires_grad_(False)
    NETWORK[1].requires_grad_(False)
    try:
        counted = work(torch.randn(2, 4, 6, 6))
    finally:
        NETWORK.requires_grad_(True)
    assert counted.flops == 2 * (FLOPS[CONV] + 2 * FLOPS[LINEAR])


def test_leaves_no_hooks():
    with pytest.raises(RuntimeError):
        work(torch.randn(2, 3, 6, 6))
    assert not CONV._forward_hooks


def test_peaks_are_those_of_the_fastest_round(monkeypatch):
    took = [0.1, 0.1]  # warm-up
    took += [0.5, 0.4, 0.2, 0.25]  # matrix product, copy, copy, matrix product
    clock = itertools.accumulate(step for seconds in took for step in (0, seconds))
    monkeypatch.setattr(time, 'perf_counter', lambda: next(clock))
    peaks = measure_peaks(torch.device('cpu'), torch.float32, rounds=2)
    assert peaks == pytest.approx(Work(2 * 2048**3 / 0.25, 2 * 2**28 / 0.2))
