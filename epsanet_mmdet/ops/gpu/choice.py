"""The plan of each convolution: the one measured on this GPU, or that of the rules."""

from .compute import Compute
from .plan import ConvPlan, ConvShape, conv_plan, pointwise_tile
from .plan_file import measured_plans
from .tiles import PointwiseTile


def choose_conv(shape: ConvShape, pixels: int, compute: Compute) -> ConvPlan:
    """Return how to compute a convolution whose output has so many pixels, of all images."""
    plans = measured_plans(compute.device)
    measured = plans.conv(shape, pixels, compute.precision) if plans else None
    return measured or conv_rule(shape, pixels, compute)


def choose_pointwise(pixels: int, inputs: int, outputs: int, compute: Compute) -> PointwiseTile:
    """Return how to cut a 1x1 convolution whose output has so many pixels, of all images."""
    plans = measured_plans(compute.device)
    measured = plans.tile(pixels, inputs, outputs, compute.precision) if plans else None
    return measured or pointwise_rule(pixels, inputs, outputs, compute)


def conv_rule(shape: ConvShape, pixels: int, compute: Compute) -> ConvPlan:
    """Return the plan of the rules for a convolution."""
    return conv_plan(shape, pixels, compute.precision, compute.multiprocessors, compute.wgmma)


def pointwise_rule(pixels: int, inputs: int, outputs: int, compute: Compute) -> PointwiseTile:
    """Return the tile of the rules for a 1x1 convolution."""
    gpu = compute.multiprocessors, compute.wgmma
    return pointwise_tile(pixels, inputs, outputs, compute.precision, *gpu)
