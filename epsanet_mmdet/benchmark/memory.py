"""Memory that a pass through a network needs."""

import json
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
from torch import nn


def activation_bytes(network: nn.Module, forward: Callable[[], object]) -> int:
    """Return the bytes that a forward pass saves for the backward pass, without parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    saved: Dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in parameters:
            saved[address] = tensor  # holding it keeps its address from being reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Return the peak of the bytes that a call allocates on top of what is allocated before it.

    They are counted by torch's profiler on CPUs and by its allocator on GPUs.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        call()
    allocations = sorted(
        (event['ts'], i, event['args']['Bytes'])
        for i, event in enumerate(trace_events(profiler))
        if event.get('name') == '[memory]'
    )
    peak = total = 0
    for _, _, size in allocations:
        total += size
        peak = max(peak, total)
    return peak


def trace_events(profiler: torch.profiler.profile) -> List[Dict[str, Any]]:
    """Return the events of a profile in the format of Chrome's traces, in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, 'trace.json')
        profiler.export_chrome_trace(str(trace))
        return json.loads(trace.read_text())['traceEvents']
