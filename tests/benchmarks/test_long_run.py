"""A training whose memory, open files or processes grow is recognised."""

import mmap
import os
import subprocess
import sys

import pytest
from long_run import Sample, child_processes, judge, run_long, take_sample


def samples(memory, files=20, children=1):
    return [
        Sample(10 * (i + 1), m, 100.0, files(i) if callable(files) else files, children)
        for i, m in enumerate(memory)
    ]


def wave(i: int) -> float:
    return 500 + 4 * ((i * 7) % 5 - 2)  # ±8 MiB without a trend


@pytest.mark.parametrize(
    ('memory', 'flat'),
    [
        ([wave(i) for i in range(100)], True),
        ([wave(i) + 0.05 * i for i in range(100)], True),  # +1 %
        ([wave(i) + 0.3 * i for i in range(100)], False),  # +6 %
        ([wave(i) - 0.3 * i for i in range(100)], False),
        ([wave(i) + (30 if i > 60 else 0) for i in range(100)], False),  # a step
        ([200] * 20 + [wave(i) for i in range(80)], True),  # grows in the warm-up alone
    ],
)
def test_a_trend_of_more_than_two_percent_is_not_flat(memory, flat):
    assert judge(samples(memory), warm_up=200)['flat'] is flat


def test_files_left_open_are_detected():
    memory = [500.0] * 100
    assert not judge(samples(memory, files=lambda i: 20 + i // 10), warm_up=200)['flat']
    assert judge(samples(memory, files=lambda i: 20 + i % 2), warm_up=200)['flat']


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match='too few'):
        judge(samples([500.0] * 9), warm_up=0)


def test_a_sample_counts_files_children_and_memory_of_this_process():
    before = take_sample(1)
    # Mapped and filled in place: an allocator may serve memory that earlier tests have
    # freed, and may keep what this test frees.
    ballast = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(64):
        ballast.write(bytes(1 << 20))
    with open(os.devnull):
        child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
        after = take_sample(2)
        assert child.pid in child_processes(os.getpid())
        child.communicate(b'\n')
    assert after.memory - before.memory == pytest.approx(64, abs=8)
    assert after.children == before.children + 1
    assert after.files == before.files + 2  # the file, and the pipe to the child
    assert take_sample(3)[3:] == before[3:]
    ballast.close()


@pytest.mark.slow
def test_a_short_training_is_flat(tmp_path):
    result = run_long(str(tmp_path), iterations=120, size=64, images=48, batch_size=2)
    assert result['iterations'] == 115  # the last sample
    assert result['flat'], result
