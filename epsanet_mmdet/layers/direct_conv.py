"""Grouped convolutions of few channels per group on CPUs: the binding of our own kernel.

The kernel is plain C++ without torch (``epsanet_mmdet/csrc``), built when the package is installed
and a compiler is there. Where it is missing, :func:`instruction_set` is None and the functions
that compute may not be called.
"""

import ctypes
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from ..errors import ArgumentError

VARIABLE = 'EPSANET_DIRECT_CONV'
NUMBERS = (8, 18, 11)  # that a map, a correlation and a weight's gradient are described by below
LARGEST_KERNEL = 9


class Conv(NamedTuple):
    """A convolution with odd square kernels that pads so that stride 1 keeps the map's size.

    Attributes:
        weight: (out_channels, in_channels / groups, k, k), contiguous.
        groups: Number of groups.
        stride: Stride; 1 where dilation is not 1.
        dilation: Dilation.
    """

    weight: Tensor
    groups: int
    stride: int
    dilation: int

    @property
    def reach(self) -> int:
        return self.dilation * (self.weight.shape[-1] // 2)


def instruction_sets() -> List[str]:
    """Names of those that the kernel was built for and this processor has, the fastest first."""
    names = []
    while _library and (name := _library.direct_conv_name(len(names))):
        names.append(name.decode())
    return names


def instruction_set() -> Optional[str]:
    """Name of the one in use; None if the kernel is missing or switched off."""
    return _instruction_set


@contextmanager
def use_instruction_set(name: Optional[str]) -> Iterator[None]:
    """Use another of :func:`instruction_sets`, or None for the library's convolutions.

    For comparisons. The environment variable ``EPSANET_DIRECT_CONV`` does the same for a whole
    process: ``off``, or the name of an instruction set.
    """
    global _instruction_set
    if name is not None and name not in instruction_sets():
        options = ', '.join(instruction_sets()) or 'none'
        raise ArgumentError(f'The direct kernel has no {name!r} here, but: {options}')
    before, _instruction_set = _instruction_set, name
    try:
        yield
    finally:
        _instruction_set = before


def takes(x: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether the kernel is there, and takes these tensors."""
    tensors = [x, *weights]
    return (
        _instruction_set is not None
        and all(t.dtype == torch.float32 and t.device.type == 'cpu' for t in tensors)
        and (x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last))
        and not torch.is_autocast_enabled('cpu')
    )


def forward(x: Tensor, convs: Sequence[Conv], outs: Sequence[Tensor]) -> None:
    """Convolve x.

    Args:
        x: (B, C, H, W), each image contiguous.
        convs: Convolutions of one stride.
        outs: (B, out_channels, ceil(H / stride), ceil(W / stride)) each, to write to.
    """
    correlations = [
        _correlation(conv.weight, out, conv.groups, conv.reach, (0, 0), conv.dilation)
        for conv, out in zip(convs, outs)
    ]
    _correlate(_map(x, convs[0].stride), correlations)


def input_gradient(grad: Tensor, conv: Conv, out: Tensor, accumulate: bool) -> None:
    """Gradient of a convolution with respect to its input.

    It is a correlation of the output's gradient with the transposed weight, turned by 180
    degrees. With a stride, it is one for each remainder of the input's rows and columns, with
    those taps that reach there.

    Args:
        grad: (B, out_channels, out_h, out_w), gradient of the output, each image contiguous.
        conv: The convolution.
        out: (B, C, H, W), to write or add to.
        accumulate: Whether to add.
    """
    outputs, inputs, size, _ = conv.weight.shape
    split = conv.weight.view(conv.groups, outputs // conv.groups, inputs, size, size)
    turned = split.transpose(1, 2).flip(3, 4).flatten(0, 1)
    stride, pad = conv.stride, -(-conv.reach // conv.stride)
    correlations, kept = [], []
    for i in range(min(stride, out.shape[2])):
        for j in range(min(stride, out.shape[3])):
            part = out[:, :, i::stride, j::stride]
            # The taps that reach input i are k = i + reach modulo the stride.
            first = [(r + conv.reach) % stride for r in (i, j)]
            if max(first) >= size:
                if not accumulate:
                    part.zero_()
                continue
            last = [f + (size - 1 - f) // stride * stride for f in first]
            rows, columns = (slice(size - 1 - k, None, stride) for k in last)
            weight = turned[:, :, rows, columns].contiguous()
            kept.append(weight)
            if stride == 1:
                shift = [0, 0]
            else:
                shift = [pad + (r + conv.reach - k) // stride for r, k in zip((i, j), last)]
            correlations.append(
                _correlation(weight, part, conv.groups, pad, shift, conv.dilation, accumulate)
            )
    _correlate(_map(grad, 1), correlations)


def weight_gradients(
    x: Tensor, grads: Sequence[Tensor], convs: Sequence[Conv], outs: Sequence[Tensor]
) -> None:
    """Gradients of convolutions with respect to their weights.

    Args:
        x: (B, C, H, W), each image contiguous.
        grads: (B, out_channels, out_h, out_w) each, gradients of the outputs, each map contiguous.
        convs: Convolutions of one stride, with kernels up to 9 x 9.
        outs: Like the weights, contiguous, to write to.
    """
    numbers = _map(x, convs[0].stride)
    for grad, conv, out in zip(grads, convs, outs):
        outputs, inputs, size, _ = out.shape
        numbers += [grad.data_ptr(), out.data_ptr()]
        numbers += [conv.groups, outputs // conv.groups, inputs, size, conv.dilation]
        numbers += [*grad.shape[2:], *grad.stride()[:2]]
    _call(_library.direct_conv_weight_gradient, numbers, len(convs))


def _map(x: Tensor, stride: int) -> List[int]:
    return [x.data_ptr(), *x.shape, x.stride(0), stride, torch.get_num_threads()]


def _correlation(
    weight: Tensor,
    out: Tensor,
    groups: int,
    pad: int,
    shift: Sequence[int],
    dilation: int,
    accumulate: bool = False,
) -> List[int]:
    outputs, inputs, *kernel = weight.shape
    numbers = [weight.data_ptr(), out.data_ptr(), groups, outputs // groups, inputs, *kernel]
    return [*numbers, pad, *shift, dilation, *out.shape[2:], *out.stride(), accumulate]


def _correlate(numbers: List[int], correlations: Sequence[List[int]]) -> None:
    for correlation in correlations:
        numbers += correlation
    _call(_library.direct_conv_correlate, numbers, len(correlations))


def _call(function, numbers: List[int], count: int) -> None:
    if function(_instruction_set.encode(), (ctypes.c_int64 * len(numbers))(*numbers), count):
        raise MemoryError('The direct convolution found no memory for a padded copy')


def load_kernel(path: Path) -> Optional[ctypes.CDLL]:
    """Load the compiled kernel; None if it is missing or fits neither this system nor this code."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    if not _is_of_this_version(library):
        warnings.warn(
            f'{path} is of another version and not used; install epsanet_mmdet again to build it',
            stacklevel=2,
        )
        return None
    library.direct_conv_name.restype = ctypes.c_char_p
    for function in (library.direct_conv_correlate, library.direct_conv_weight_gradient):
        function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64]
    library.direct_conv_name.argtypes = [ctypes.c_int64]
    return library


def _is_of_this_version(library: ctypes.CDLL) -> bool:
    """Whether the library reads what this module writes: else it would read beyond it."""
    try:
        count = library.direct_conv_numbers
    except AttributeError:
        return False
    count.argtypes, count.restype = [ctypes.c_int64], ctypes.c_int64
    return tuple(map(count, range(len(NUMBERS)))) == NUMBERS


def default_instruction_set() -> Optional[str]:
    """Name of the one to use: what the environment variable says, else the fastest."""
    names = instruction_sets()
    wanted = os.environ.get(VARIABLE, 'on')
    if wanted not in ('on', 'off', *names):
        options = ', '.join(('on', 'off', *names))
        raise ArgumentError(f'{VARIABLE}={wanted!r} is not possible here; choose one of {options}')
    if wanted == 'off' or not names:
        return None
    return names[0] if wanted == 'on' else wanted


_library = load_kernel(Path(__file__).with_name('_direct_conv.so'))
_instruction_set = default_instruction_set()
