"""Capturing CUDA graphs."""

from typing import Callable

import torch


def capture(call: Callable[[], None], pool) -> Callable[[], None]:
    """Capture in a graph what a call lets the GPU compute, and return a function that computes it.

    Args:
        call: The call, which must not wait for the GPU.
        pool: Handle of the memory that it shares with other graphs.
    """
    graph = torch.cuda.CUDAGraph()
    # After a failed capture, torch.cuda.graph leaves its stream the current one.
    with torch.cuda.stream(torch.cuda.current_stream()):
        # Other threads, such as those that pin the memory of batches, may use CUDA meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode='thread_local'):
            call()
    return graph.replay
