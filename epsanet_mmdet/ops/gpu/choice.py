"""The plan of each convolution: the one measured on this GPU, or that of the rules."""

from .compute import Compute
from .plan import ConvPlan, ConvShape, conv_plan, pointwise_tile
from .plan_file import measured_plans
from .tiles import PointwiseTile


def choose_conv(shape: ConvShape, pixels: int, compute: Compute) -> ConvPlan:
    """Return how to compute a convolution whose output has so many pixels, of all images."""
    plans = measured_plans(compute.device)
    measured = plans.conv(shape, pixels, compute.precision) if plans else None
    return measured or conv_plan(shape, pixels, compute.precision, compute.multiprocessors)


def choose_pointwise(pixels: int, inputs: int, outputs: int, compute: Compute) -> PointwiseTile:
    """Return how to cut a 1x1 convolution whose output has so many pixels, of all images."""
    plans = measured_plans(compute.device)
    measured = plans.tile(pixels, inputs, outputs, compute.precision) if plans else None
    rule = pixels, inputs, outputs, compute.precision, compute.multiprocessors
    return measured or pointwise_tile(*rule)
