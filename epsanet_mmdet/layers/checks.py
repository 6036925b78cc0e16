"""Checks of the layers' arguments."""

from typing import Any, Iterable, Optional, Sequence

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


def check_choice(owner: str, name: str, value: Any, choices: Iterable) -> None:
    """Raise an ArgumentError that lists the choices, unless a value is one of them."""
    if value not in choices:
        options = ', '.join(map(repr, choices))
        raise ArgumentError(f'{owner} has no {name}={value!r}; choose one of {options}')


def check_divisible(layer: str, groups: int, **channels: int) -> None:
    """Raise an ArgumentError unless a number of groups divides the channels."""
    for name, value in channels.items():
        if groups < 1 or value % groups:
            raise ArgumentError(
                f'{layer} cannot use groups={groups}: it must divide {name}={value}'
            )


def check_branches(
    layer: str,
    in_channels: int,
    out_channels: int,
    kernel_sizes: Sequence[int],
    groups: Sequence[int],
    shares: Optional[Sequence[int]] = None,
) -> None:
    """Raise an ArgumentError unless a layer of parallel convolutions can have these branches.

    Args:
        layer: Name of the layer.
        in_channels: Channels of the input of each branch.
        out_channels: Output channels of all branches together.
        kernel_sizes: Kernel size of each branch.
        groups: Groups of each branch.
        shares: Proportions of the branches' output channels; equal by default.
    """
    if not kernel_sizes or len(kernel_sizes) != len(groups):
        raise ArgumentError(
            f'{layer} needs one group count per kernel size, but got kernel_sizes='
            f'{tuple(kernel_sizes)} and groups={tuple(groups)}'
        )
    if any(size < 1 or size % 2 == 0 for size in kernel_sizes):
        raise ArgumentError(
            f'{layer} needs odd kernel sizes, so that all branches have the same map size, but '
            f'got kernel_sizes={tuple(kernel_sizes)}'
        )
    shares = shares or (1,) * len(kernel_sizes)
    if out_channels % sum(shares):
        raise ArgumentError(
            f'{layer} splits its output over {len(kernel_sizes)} branches: out_channels='
            f'{out_channels} must be divisible by {sum(shares)}'
        )
    for group, share in zip(groups, shares):
        width = out_channels * share // sum(shares)
        if group < 1 or in_channels % group or width % group:
            raise ArgumentError(
                f'{layer} cannot use groups={group}: it must divide in_channels='
                f"{in_channels} and its branch's {width} output channels"
            )
