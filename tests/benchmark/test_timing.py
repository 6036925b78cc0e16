"""Interleaving and its statistics, by counting calls rather than by a clock."""

import time

import pytest
import torch
from fake_cuda import cuda  # noqa: F401

from epsanet_mmdet.benchmark import Timing, time_interleaved

CPU = torch.device('cpu')


def test_every_round_runs_each_once_and_starts_with_another():
    order = []
    calls = [lambda i=i: order.append(i) for i in range(3)]
    time_interleaved(calls, repeats=3, device=CPU, warm_up=1)
    rounds = [order[i : i + 3] for i in range(0, 12, 3)]
    assert all(sorted(calls) == [0, 1, 2] for calls in rounds)
    assert {calls[0] for calls in rounds[1:]} == {0, 1, 2}


def test_rounds_of_warm_up_do_not_count(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(time, 'perf_counter', lambda: next(clock))
    timings = time_interleaved([lambda: None], repeats=4, device=CPU, warm_up=2)
    assert timings[0].seconds == [1, 1, 1, 1]


def test_ratios_compare_calls_of_the_same_round(monkeypatch):
    """A machine that becomes ten times slower in between changes times but no ratios."""
    now = [0.0]
    rounds = []
    monkeypatch.setattr(time, 'perf_counter', lambda: now[0])

    def base():
        rounds.append(1)
        now[0] += 1 if len(rounds) < 3 else 10

    def twice():
        now[0] += 2 if len(rounds) < 3 else 20

    timings = time_interleaved([base, twice], repeats=4, device=CPU, warm_up=0)
    assert timings[0].ratio == 1
    assert timings[1].ratio == pytest.approx(2)
    assert timings[0].median == 5.5


def test_ratios_to_another_call_of_the_same_rounds():
    timing = Timing([2.0, 9.0], [1.0, 3.0]).relative_to(Timing([4.0, 3.0], [2.0, 1.0]))
    assert timing == Timing([2.0, 9.0], [0.5, 3.0])


@pytest.mark.parametrize('device, rounds', [('cpu', 1), ('cuda', 3)])
def test_gpus_warm_up_longer(cuda, device, rounds):  # noqa: F811
    calls = []
    time_interleaved([lambda: calls.append(1)], repeats=2, device=torch.device(device))
    assert len(calls) == rounds + 2


def test_a_call_on_a_gpu_is_timed_until_the_gpu_is_idle(cuda):  # noqa: F811
    time_interleaved([cuda.step], repeats=1, device=torch.device('cuda'), warm_up=0)
    assert cuda.log == ['synchronize', 'run on default', 'synchronize']


def test_statistics():
    timing = Timing([1.0, 2.0, 3.0, 4.0, 100.0], [1.0, 1.1, 1.2, 1.3, 50.0])
    assert timing.median == 3 and timing.ratio == 1.2
    assert timing.relative_iqr == pytest.approx((4 - 2) / 3)
    assert timing.ratio_iqr == pytest.approx(1.3 - 1.1)
    assert Timing([1.0], [1.0]).relative_iqr == 0
