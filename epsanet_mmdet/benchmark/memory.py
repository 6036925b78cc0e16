"""Memory that a pass over a network takes."""

import json
import tempfile
from pathlib import Path
from typing import Callable, Dict

import torch
from torch import nn


def saved_bytes(network: nn.Module, forward: Callable[[], object]) -> int:
    """Count the bytes that a forward pass keeps for the backward pass, without parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: Dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in parameters:
            kept[address] = tensor  # which also keeps the address from being used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Count the most bytes of tensors that a call has allocated at a time, over those before it.

    On CPUs by torch's profiler, on GPUs by its allocator.
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
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, 'trace.json')
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())['traceEvents']
    allocations = sorted(
        (event['ts'], i, event['args']['Bytes'])
        for i, event in enumerate(events)
        if event.get('name') == '[memory]'
    )
    peak = total = 0
    for _, _, size in allocations:
        total += size
        peak = max(peak, total)
    return peak
