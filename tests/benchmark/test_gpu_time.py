"""The GPU's time is that of replays in a row, or else that which the profiler's kernels cover."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from fake_cuda import COMPUTE, cuda  # noqa: F401

from epsanet_mmdet.benchmark.gpu_time import GPUTime, capture, has_gpu_time, measure_gpu_time

GPU = torch.device('cuda', 0)


def kernel(start, duration, correlation, cat='kernel'):
    return dict(cat=cat, name='conv', ts=start, dur=duration, args=dict(correlation=correlation))


def launch(correlation):
    return dict(
        cat='cuda_runtime', name='cudaLaunchKernel', args=dict(correlation=correlation), ts=0, dur=9
    )


# Of three passes, in microseconds: two kernels overlap, and a range that a user marked covers all.
TRACE = [
    dict(name='process_name', ph='M'),
    kernel(0, 9000, 0, 'gpu_user_annotation'),
    *(launch(i) for i in (1, 2, 3)),
    kernel(1000, 300, 1),
    kernel(1200, 200, 2),
    kernel(5000, 100, 3),
    kernel(6000, 200, 4, 'gpu_memcpy'),
]
BUSY = (400 + 100 + 200) / 3 * 1e-6


@pytest.fixture
def sessions(monkeypatch):
    """Traces of the profiler's next sessions."""
    traces = []

    class Profile:
        def export_chrome_trace(self, path):
            Path(path).write_text(json.dumps(dict(traceEvents=traces.pop(0))))

    @contextmanager
    def profile(activities):
        assert torch.profiler.ProfilerActivity.CUDA in activities
        yield Profile()

    monkeypatch.setattr(torch.profiler, 'profile', profile)
    return traces


def test_replays_in_a_row_hide_launches(cuda):  # noqa: F811
    measured = measure_gpu_time(cuda.step, GPU)
    assert measured == GPUTime(pytest.approx(COMPUTE), 'graph')
    assert cuda.log.count('capture on side') == 1
    assert set(cuda.log[cuda.log.index('capture on side') + 1 :]) == {'replay on default'}


def test_warms_up_on_the_stream_that_captures(cuda):  # noqa: F811
    capture(cuda.step, GPU)
    *before, last = cuda.log
    assert len(before) >= 3 and set(before) == {'run on side'} and last == 'capture on side'


def test_the_profiler_replaces_a_graph_that_cannot_be_captured(cuda, sessions):  # noqa: F811
    cuda.capture_error = RuntimeError('operation not permitted\nCompile with ...')
    sessions.append(TRACE)
    seconds, source, note = measure_gpu_time(cuda.step, GPU)
    assert (seconds, source) == (pytest.approx(BUSY), 'profiler')
    assert note == 'cannot be captured (RuntimeError: operation not permitted)'
    assert cuda.streams == ['default']


def test_a_pass_known_to_wait_is_not_captured(cuda, sessions):  # noqa: F811
    sessions.append(TRACE)
    measured = measure_gpu_time(cuda.step, GPU, capturable=False)
    assert measured == GPUTime(pytest.approx(BUSY), 'profiler')
    assert cuda.log == ['run on default'] * 3 + ['synchronize']


def test_a_session_that_lost_kernels_is_repeated(cuda, sessions):  # noqa: F811
    sessions += [[*TRACE, launch(9)], TRACE]
    assert measure_gpu_time(cuda.step, GPU, capturable=False).seconds == pytest.approx(BUSY)
    assert not sessions


@pytest.mark.parametrize(
    'trace, named',
    [([launch(1)], 'sees no kernels'), ([*TRACE, launch(9)], 'loses kernels')],
    ids=['none', 'too few'],
)
def test_what_cannot_be_measured_is_noted(cuda, sessions, trace, named):  # noqa: F811
    cuda.capture_error = torch.OutOfMemoryError('no memory')
    sessions += [trace] * 3
    seconds, source, note = measure_gpu_time(cuda.step, GPU)
    assert (seconds, source) == (None, None)
    assert 'OutOfMemoryError: no memory' in note and named in note and '\n' not in note


def test_a_failed_capture_raises_the_first_error(cuda):  # noqa: F811
    cuda.capture_error = torch.OutOfMemoryError('no memory')
    with pytest.raises(torch.OutOfMemoryError, match='no memory'):
        capture(cuda.step, GPU)


def test_only_gpus_compute_while_a_cpu_launches():
    assert has_gpu_time(GPU) and not has_gpu_time(torch.device('cpu'))
