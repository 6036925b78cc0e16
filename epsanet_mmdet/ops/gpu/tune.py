"""Measurement of plans on the user's GPU, for the file of :mod:`.plan_file`."""

from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional, Tuple, Union

import torch
from torch import nn

from ...errors import ArgumentError
from ...utils.storage import check_file_writable
from .candidates import conv_candidates, pointwise_candidates
from .compute import Compute, compute_on
from .plan import ConvPlan
from .plan_file import Key, Plans, TunedConv, TunedPointwise, key_of, read_plans, write_plans
from .problems import Problem, problems_of
from .setting import is_out_of_memory
from .tiles import PointwiseTile
from .timing import check_plan, time_plan

Plan = Union[ConvPlan, PointwiseTile]
GAIN = 0.97  # of the rule's time; less may be noise


def tune(
    networks: Union[nn.Module, Iterable[nn.Module]],
    sizes: Iterable[Tuple[int, int, int]],
    path: str,
    device: Union[str, torch.device] = 'cuda',
    dtype: torch.dtype = torch.bfloat16,
    progress: Optional[Callable[[str], None]] = None,
) -> Optional[Plans]:
    """Measure plans for the EPSANets in networks on this GPU, and write them to a file.

    ``EPSANET_GPU_PLANS`` names the file to later processes. It is written after each convolution,
    and after an interruption the same call resumes. In distributed runs, rank 0 measures.

    Args:
        networks: Networks, such as detectors.
        sizes: Images of a batch, height and width.
        path: The file; one of another GPU or of other versions is replaced.
        device: The GPU.
        dtype: Type of the maps, such as that of autocast. For float32, torch's setting of
            TensorFloat-32 counts.
        progress: Receives a line after each convolution.

    Returns:
        The plans, or None in processes that do not measure.

    Raises:
        ArgumentError: If the device is no GPU, no kernel has the type, or there is no EPSANet.
        StorageError: If the file cannot be written.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_rank():
        return None
    device = torch.device(device)
    if device.type != 'cuda':
        raise ArgumentError(f"GPU plans cannot be measured on '{device}'; choose a CUDA device")
    device = torch.device(
        'cuda', torch.cuda.current_device() if device.index is None else device.index
    )
    compute = compute_on(device, dtype)
    if compute is None:
        raise ArgumentError(f'no GPU kernel computes {dtype}; choose float32, float16 or bfloat16')
    networks = [networks] if isinstance(networks, nn.Module) else list(networks)
    problems = [p for size in sizes for network in networks for p in problems_of(network, *size)]
    if not problems:
        raise ArgumentError('GPU plans are for EPSANets, but there is none in the networks')
    check_file_writable(path)
    with torch.cuda.device(device):
        return measure(problems, compute, path, key_of(device), progress=progress)


@torch.no_grad()
def measure(
    problems: Iterable[Problem],
    compute: Compute,
    path: str,
    key: Key,
    clock: Callable[[Problem, Plan, Compute], float] = time_plan,
    check: Callable[[Problem, Plan, Compute], None] = check_plan,
    progress: Optional[Callable[[str], None]] = None,
) -> Plans:
    """Measure the candidates of each problem, and keep the fastest in a file.

    Args:
        problems: Convolutions.
        compute: What computes.
        path: The file; plans in it with the same key are kept.
        key: Key of the plans.
        clock: Returns the time of a plan in ms.
        check: Raises an error if the kernel of a plan is wrong.
        progress: Receives a line after each problem.
    """
    _refuse_recording()
    found = read_plans(path, key) if Path(path).is_file() else None
    kept = [*found.convs, *found.pointwise] if found else []
    known = {_identity(tuned) for tuned in kept}
    todo = {_identity(_tuned(p, _candidates(p, compute)[0], compute)): p for p in problems}
    todo = [problem for identity, problem in todo.items() if identity not in known]
    for i, problem in enumerate(todo, 1):
        rule, *others = _candidates(problem, compute)
        times = _times(problem, [rule, *others], compute, clock)
        best = _fastest(rule, times, lambda plan: check(problem, plan, compute))  # noqa: B023
        kept.append(_tuned(problem, best, compute))
        write_plans(_plans(key, kept), path)
        if progress and times:
            gain = f', {times[best] / times[rule]:.2f} of the rule' if rule in times else ''
            progress(f'{i}/{len(todo)}: {problem}: {times.get(best, 0):.4f} ms{gain}')
    return _plans(key, kept)


def _candidates(problem: Problem, compute: Compute) -> List[Plan]:
    shape = problem.shape
    if problem.is_pointwise:
        return pointwise_candidates(problem.pixels, shape.inputs, shape.outputs, compute)
    return conv_candidates(shape, problem.pixels, compute)


def _times(
    problem: Problem, plans: List[Plan], compute: Compute, clock: Callable
) -> Dict[Plan, float]:
    """Return the times of the plans that run."""
    times = {}
    for plan in plans:
        try:
            times[plan] = clock(problem, plan, compute)
        except Exception as error:  # of Triton's compiler, too, which has classes of its own
            if is_out_of_memory(error):
                torch.cuda.empty_cache()
    return times


def _fastest(rule: Plan, times: Dict[Plan, float], check: Callable[[Plan], None]) -> Plan:
    """Return the fastest plan that is clearly faster than the rule and right, or the rule."""
    for plan in sorted(times, key=times.get):
        if plan == rule or rule not in times or times[plan] > GAIN * times[rule]:
            break
        try:
            check(plan)
        except Exception:
            continue
        return plan
    return rule


def _tuned(problem: Problem, plan: Plan, compute: Compute) -> Union[TunedConv, TunedPointwise]:
    shape, own = problem.shape, dict(precision=compute.precision, pixels=problem.pixels)
    if problem.is_pointwise:
        tile = dict(zip(('rows', 'columns', 'depth', 'warps', 'stages'), plan))
        return TunedPointwise(inputs=shape.inputs, outputs=shape.outputs, **own, **tile)
    return TunedConv(**{**plan.blocking._asdict(), **plan.tile._asdict(), **shape._asdict()}, **own)


def _identity(tuned: Union[TunedConv, TunedPointwise]) -> tuple:
    shape = tuned.shape if isinstance(tuned, TunedConv) else (tuned.inputs, tuned.outputs)
    return type(tuned), shape, tuned.precision, tuned.pixels


def _plans(key: Key, tuned: Iterable[Union[TunedConv, TunedPointwise]]) -> Plans:
    tuned = list(tuned)
    return Plans(
        key,
        [t for t in tuned if isinstance(t, TunedConv)],
        [t for t in tuned if isinstance(t, TunedPointwise)],
    )


def _refuse_recording() -> None:
    capturing = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    if capturing or torch.compiler.is_compiling() or torch.jit.is_tracing():
        raise ArgumentError(
            'GPU plans cannot be measured while a program is recorded; do it before'
        )
