"""The time that a GPU computes, apart from the time that a CPU needs to launch its kernels."""

import statistics
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import torch

from .failure import reason
from .memory import trace_events
from .timing import WARM_UP

GRAPH, PROFILER = 'graph', 'profiler'
ROUNDS, REPLAYS = 3, 5
SESSIONS, PASSES = 3, 3
GPU_WORK = ('kernel', 'gpu_memcpy', 'gpu_memset')  # categories in the profiler's traces


def has_gpu_time(device: torch.device) -> bool:
    """Return True if a device computes while a CPU launches its kernels."""
    return device.type == 'cuda'


class GPUTime(NamedTuple):
    """Time that a GPU computes in a pass.

    Attributes:
        seconds: The time; None if it cannot be measured.
        source: :data:`GRAPH` or :data:`PROFILER`; None if it cannot be measured.
        note: Why it was not measured by a graph; None if it was, or if none was tried.
    """

    seconds: Optional[float]
    source: Optional[str]
    note: Optional[str] = None


def measure_gpu_time(
    call: Callable[[], object], device: torch.device, capturable: bool = True
) -> GPUTime:
    """Measure the time that a GPU computes in a call, by replaying a CUDA graph of it.

    torch's profiler replaces the graph where the call cannot be captured. It adds up the times of
    the kernels without the gaps between them. A failed capture can leave torch's allocator
    in a state that prevents later captures, so call this when all else is measured.

    Args:
        call: Call to measure, which ran before.
        device: The GPU.
        capturable: False if the call is known to wait for the GPU.
    """
    note = None
    if capturable:
        try:
            return GPUTime(replay_seconds(capture(call, device), device), GRAPH)
        except Exception as error:  # any, since only this figure depends on it
            note = f'cannot be captured ({reason(error)})'
    try:
        return GPUTime(profiled_seconds(call, device), PROFILER, note)
    except Exception as error:
        reasons = [note, f'cannot be profiled ({reason(error)})']
        return GPUTime(None, None, ', '.join(filter(None, reasons)))


def capture(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """Capture the GPU operations of a call in a CUDA graph.

    Returns:
        A function that runs them again, on the same memory.

    Raises:
        RuntimeError: If the call waits for the GPU, or there is not enough memory.
    """
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    # After a failed capture, torch.cuda.graph leaves its stream the current one; this does not.
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream):
                call()
        except RuntimeError as error:
            raise error.__context__ or error  # the first error, not that of ending the capture
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph.replay


def replay_seconds(replay: Callable[[], None], device: torch.device) -> float:
    """Return the time of a replay among others in a row, which hide the launch of each."""
    seconds = []
    with torch.cuda.device(device):
        for _ in range(ROUNDS):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            replay()
            begin.record()
            for _ in range(REPLAYS):
                replay()
            end.record()
            end.synchronize()
            seconds.append(begin.elapsed_time(end) / 1e3 / REPLAYS)
    return statistics.median(seconds)


def profiled_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the time of a call in which at least one kernel or copy runs, by torch's profiler.

    Raises:
        RuntimeError: If the profiler sees no kernels, or loses some in every session. Those at the
            start of a session may be lost in torch 2.10.
    """
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    for _ in range(SESSIONS):
        with torch.profiler.profile(activities=activities) as profiler:
            for _ in range(PASSES):
                call()
            torch.cuda.synchronize(device)
        events = trace_events(profiler)
        work = [event for event in events if event.get('cat') in GPU_WORK]
        if not work:
            raise RuntimeError('the profiler sees no kernels')
        if not _lost_launches(events, work):
            return _covered(work) / 1e6 / PASSES
    raise RuntimeError('the profiler loses kernels')


def _lost_launches(events: Sequence[Dict[str, Any]], work: Sequence[Dict[str, Any]]) -> bool:
    launched = {
        event['args'].get('correlation')
        for event in events
        if event.get('cat') == 'cuda_runtime' and 'LaunchKernel' in event['name']
    }
    return not launched <= {event['args'].get('correlation') for event in work}


def _covered(work: Sequence[Dict[str, Any]]) -> float:
    """Return the microseconds that events cover; those that overlap count once."""
    spans: List[tuple] = sorted((event['ts'], event['ts'] + event['dur']) for event in work)
    covered, until = 0.0, float('-inf')
    for start, end in spans:
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered
