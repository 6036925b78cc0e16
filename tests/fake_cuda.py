"""A stand-in for ``torch.cuda``: streams, graphs and events of a GPU with a clock of its own."""

from contextlib import contextmanager, nullcontext

import pytest
import torch

LAUNCH, COMPUTE = 0.003, 0.001  # seconds of a pass on the CPU and on the GPU


class FakeCUDA:
    """Records what is called, and moves its clock by the time that a GPU takes.

    Attributes:
        log: What happened, in order.
        streams: The current stream, last, and those around it.
        capture_error: Raised where a pass is captured.
    """

    def __init__(self):
        self.log, self.streams, self.capture_error = [], ['default'], None
        self.now, self.capturing = 0.0, False

    def step(self):
        """A pass, which the GPU waits for."""
        self.log.append(f'{"capture" if self.capturing else "run"} on {self.streams[-1]}')
        if not self.capturing:
            self.now += LAUNCH
        elif self.capture_error:
            raise self.capture_error

    def replay(self):
        self.log.append(f'replay on {self.streams[-1]}')
        self.now += COMPUTE

    def synchronize(self, device=None):
        self.log.append('synchronize')

    @contextmanager
    def stream(self, stream):
        self.streams.append(stream.name)
        try:
            yield
        finally:
            del self.streams[1:]

    @contextmanager
    def graph(self, graph, stream):
        """Like torch's, raise another error at the end of a failed capture, and keep the stream."""
        self.streams.append(stream.name)
        self.capturing = True
        try:
            yield
        except RuntimeError:
            raise RuntimeError('CUDA error: operation failed due to a previous error')
        finally:
            self.capturing = False
        self.streams.pop()


class _Stream:
    def __init__(self, name='side'):
        self.name = name

    def wait_stream(self, other):
        assert {self.name, other.name} == {'side', 'default'}


class _Event:
    def __init__(self, cuda):
        self.cuda = cuda

    def record(self):
        self.time = self.cuda.now

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return (end.time - self.time) * 1e3


@pytest.fixture
def cuda(monkeypatch):
    """The stand-in, installed."""
    fake = FakeCUDA()

    class Graph:
        replay = staticmethod(fake.replay)

    for name, value in dict(
        Stream=lambda device: _Stream(),
        current_stream=lambda device: _Stream('default'),
        Event=lambda enable_timing: _Event(fake),
        CUDAGraph=Graph,
        device=lambda device: nullcontext(),
        stream=fake.stream,
        graph=fake.graph,
        synchronize=fake.synchronize,
    ).items():
        monkeypatch.setattr(torch.cuda, name, value)
    return fake
