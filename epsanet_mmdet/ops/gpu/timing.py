"""The time of a plan on a GPU."""

from typing import Callable, Union

import torch
from triton.testing import do_bench

from .blocked_conv import blocked_conv, tile_count
from .blocking import pack
from .compute import Compute
from .plan import ConvPlan, padded_sides
from .pointwise import pointwise
from .problems import Problem
from .tiles import PointwiseTile

WARM_UP, REPEAT = 5, 30  # ms


def time_plan(problem: Problem, plan: Union[ConvPlan, PointwiseTile], compute: Compute) -> float:
    """Return the median time of a plan in ms, with a cold cache."""
    return do_bench(launcher(problem, plan, compute), WARM_UP, REPEAT, return_mode='median')


def check_plan(problem: Problem, plan: Union[ConvPlan, PointwiseTile], compute: Compute) -> None:
    """Check a plan.

    Raises:
        VerificationError: If its kernel computes something else than torch.
    """
    kernel, arguments = _call(problem, plan, compute)
    kernel(*arguments)  # the first use on a GPU


def launcher(
    problem: Problem, plan: Union[ConvPlan, PointwiseTile], compute: Compute
) -> Callable[[], None]:
    """Return a function that computes a problem by a plan, unchecked, as in evaluation mode."""
    kernel, arguments = _call(problem, plan, compute)
    return lambda: kernel.__wrapped__(*arguments)


def _call(problem: Problem, plan: Union[ConvPlan, PointwiseTile], compute: Compute) -> tuple:
    shape, size = problem.shape, (problem.height, problem.width)
    new = torch.empty(0, dtype=compute.dtype, device=compute.device)
    out = new.new_empty(problem.batch, *size, shape.outputs)
    if problem.is_pointwise:
        x = torch.randn_like(new.new_empty(problem.batch, *size, shape.inputs))
        weight = torch.randn_like(new.new_empty(shape.outputs, shape.inputs))
        scale = torch.ones(shape.outputs, device=new.device)
        return pointwise, (
            x, weight, out, plan, compute.precision, None, None, scale, scale, None, True
        )  # fmt: skip
    sides = padded_sides(*(side * shape.stride for side in size), [plan], shape.inputs)[1:]
    x = torch.randn_like(new.new_empty(problem.batch, *sides, shape.inputs))
    weight = new.new_empty(shape.outputs, shape.inputs // shape.groups, shape.size, shape.size)
    packed = pack(torch.randn_like(weight), plan.blocking, plan.tile.depth).contiguous()
    tiles = tile_count(*size, *plan)
    sums = torch.empty(problem.batch, tiles, shape.outputs, device=new.device)
    return blocked_conv, (x, packed, out, *plan, compute.precision, sums)
