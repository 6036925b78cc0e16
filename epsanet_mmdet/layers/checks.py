"""Checks of the layers' arguments."""

from typing import Sequence

from ..errors import ArgumentError


def check_positive(layer: str, **values: int) -> None:
    """Raise an ArgumentError if a value is less than 1."""
    for name, value in values.items():
        if value < 1:
            raise ArgumentError(f'{layer} needs {name} of at least 1, but got {name}={value}')


def check_odd(layer: str, kernel_size: int) -> None:
    """Raise an ArgumentError unless a kernel size is positive and odd."""
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ArgumentError(f'{layer} needs an odd kernel size, but got kernel_size={kernel_size}')


def check_branches(
    in_channels: int, out_channels: int, kernel_sizes: Sequence[int], groups: Sequence[int]
) -> None:
    """Raise an ArgumentError unless a PSA module can have these branches."""
    if not kernel_sizes or len(kernel_sizes) != len(groups):
        raise ArgumentError(
            f'PSAModule needs one group count per kernel size, but got kernel_sizes='
            f'{tuple(kernel_sizes)} and groups={tuple(groups)}'
        )
    if any(size < 1 or size % 2 == 0 for size in kernel_sizes):
        raise ArgumentError(
            f'PSAModule needs odd kernel sizes, so that all branches have the same map size, but '
            f'got kernel_sizes={tuple(kernel_sizes)}'
        )
    branches = len(kernel_sizes)
    if out_channels % branches:
        raise ArgumentError(
            f'PSAModule splits its output over {branches} branches: out_channels='
            f'{out_channels} must be divisible by {branches}'
        )
    for group in groups:
        if group < 1 or in_channels % group or out_channels // branches % group:
            raise ArgumentError(
                f'PSAModule cannot use groups={group}: it must divide in_channels='
                f"{in_channels} and each branch's {out_channels // branches} output channels"
            )
