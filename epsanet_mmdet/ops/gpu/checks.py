"""The check of each kernel, see :mod:`.verify`; its case holds what the kernel is compiled for."""

from typing import Callable, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from .blocking import Blocking, pack, unpack
from .plan import ConvPlan, padded_sides
from .tiles import ConvTile, PointwiseTile
from .verify import Values, bound, check_close, check_sums, convolve, nchw


def conv_case(
    x, packed, out, blocking, tile, precision, sums=None, squares=None, accumulate=False
) -> tuple:
    """Return the arguments of :func:`check_conv` for those of the kernel."""
    moments = (sums is not None) + (squares is not None)
    sizes = x.shape[3], out.shape[3]
    return x.dtype, out.dtype, *sizes, blocking, tile, precision, moments, accumulate


def check_conv(
    kernel: Callable,
    device: torch.device,
    dtype: torch.dtype,
    out_dtype: torch.dtype,
    inputs: int,
    outputs: int,
    blocking: Blocking,
    tile: ConvTile,
    precision: str,
    moments: int = 0,
    accumulate: bool = False,
) -> None:
    """Check a blocked convolution on a map of a whole tile and a part of one."""
    values = Values(device, dtype)
    weight = _weight(values, inputs, outputs, blocking)
    x, padded = _padded_map(values, inputs, blocking, tile)
    expected = convolve(x, weight, **_options(blocking))
    size = expected.shape[2:]
    out = values.unwritten(1, *size, 2 * outputs, dtype=out_dtype)[..., outputs:]
    if accumulate:
        out.copy_(values(1, *size, outputs))
        expected = expected + nchw(out)
    blocks = -(-size[0] // blocking.rows) * -(-size[1] // blocking.columns)
    sums = [
        values.unwritten(1, -(-blocks // tile.blocks), outputs, dtype=torch.float32)
        for _ in range(moments)
    ]
    packed = pack(weight, blocking, tile.depth).contiguous()
    kernel(padded, packed, out, blocking, tile, precision, *sums, accumulate=accumulate)
    name, most = f'{blocking.size}x{blocking.size} convolution', bound(dtype, precision, out_dtype)
    check_close(name, nchw(out), expected, most)
    for found, power in zip(sums, (expected, expected.square())):
        check_sums(f'sum of the {name}', found, power, most)


def weight_gradient_case(x, grad, out, blocking, tile, precision) -> tuple:
    """Return the arguments of :func:`check_weight_gradient` for those of the kernel."""
    sizes = x.shape[3], grad.shape[3], out.shape[3]
    return x.dtype, grad.dtype, *sizes, blocking, tile, precision


def check_weight_gradient(
    kernel: Callable,
    device: torch.device,
    dtype: torch.dtype,
    grad_dtype: torch.dtype,
    inputs: int,
    outputs: int,
    depth: int,
    blocking: Blocking,
    tile: ConvTile,
    precision: str,
) -> None:
    """Check the gradient of a blocked convolution's weight, likewise."""
    values = Values(device, dtype)
    weight = _weight(values, inputs, outputs, blocking)
    x, padded = _padded_map(values, inputs, blocking, tile)
    size = [-(-side // blocking.stride) for side in x.shape[1:3]]
    grad = values(1, *size, outputs, dtype=grad_dtype)
    packed = pack(weight, blocking, depth)
    out = values.unwritten(2, *packed.shape, dtype=torch.float32)
    kernel(padded, grad, out, blocking, tile, precision)
    actual = unpack(out.double().sum(0), blocking, weight.shape[1])
    expected = conv2d_weight(nchw(x), weight.shape, nchw(grad), **_options(blocking))
    name = f"gradient of the {blocking.size}x{blocking.size} convolution's weight"
    check_close(name, actual, expected, bound(dtype, precision))


def _weight(values: Values, inputs: int, outputs: int, blocking: Blocking) -> Tensor:
    """Return a weight with which outputs are as large as inputs."""
    fan_in = inputs // blocking.groups * blocking.size**2
    size = outputs, inputs // blocking.groups, blocking.size, blocking.size
    return values(*size, scale=fan_in**-0.5)


def _padded_map(
    values: Values, inputs: int, blocking: Blocking, tile: ConvTile
) -> Tuple[Tensor, Tensor]:
    """Return a map for a whole tile of blocks and a part of one, and the same map with margins."""
    across = tile.blocks // 3 + 1
    sides = (
        blocking.stride * (3 * blocking.rows - 1),
        blocking.stride * (blocking.columns * across - (blocking.columns > 1)),
    )
    margin, height, width = padded_sides(*sides, [ConvPlan(blocking, tile)], inputs)
    padded = values(1, height, width, inputs) * 0
    x = values(1, *sides, inputs)
    padded[:, margin : margin + sides[0], margin : margin + sides[1]] = x
    return x, padded


def _options(blocking: Blocking) -> dict:
    return dict(
        stride=blocking.stride,
        padding=blocking.reach,
        dilation=blocking.dilation,
        groups=blocking.groups,
    )


def pointwise_case(
    x, weight, out, tile, precision, in_scale=None, in_shift=None, scale=None, shift=None,
    add=None, relu=False, sums=None, squares=None,
) -> tuple:  # fmt: skip
    """Return the arguments of :func:`check_pointwise` for those of the kernel."""
    options = in_scale is not None, scale is not None, add is not None and add.dtype, relu
    types = x.dtype, weight.dtype, out.dtype
    transposed = weight.stride(1) != 1
    return *types, *weight.shape, transposed, tile, precision, *options, sums is not None


def check_pointwise(
    kernel: Callable,
    device: torch.device,
    dtype: torch.dtype,
    weight_dtype: torch.dtype,
    out_dtype: torch.dtype,
    outputs: int,
    inputs: int,
    transposed: bool,
    tile: PointwiseTile,
    precision: str,
    in_affine: bool = False,
    affine: bool = False,
    add: Optional[torch.dtype] = None,
    relu: bool = False,
    moments: bool = False,
) -> None:
    """Check a 1x1 convolution on a part of a map, of a whole tile and a part of one."""
    values, size = Values(device, dtype), (3, tile.pixels // 3 + 5)
    x = values(2, size[0] + 2, size[1] + 1, inputs)[:, 1:-1, 1:]
    weight = values(outputs, inputs, dtype=weight_dtype, scale=inputs**-0.5)
    weight = weight.t().contiguous().t() if transposed else weight
    out = values.unwritten(2, size[0] + 1, size[1] + 2, outputs, dtype=out_dtype)[:, 1:, 1:-1]
    more, source = {'relu': relu}, nchw(x)
    if in_affine:
        more['in_scale'] = values(2, inputs, dtype=torch.float32)
        more['in_shift'] = values(inputs, dtype=torch.float32)
        source = source * more['in_scale'].double()[..., None, None]
        source = F.relu(source + more['in_shift'].double()[:, None, None])
    expected = F.conv2d(source, weight.to(dtype).double()[..., None, None])
    if affine:
        more['scale'] = values(outputs, dtype=torch.float32)
        more['shift'] = values(outputs, dtype=torch.float32)
        expected = expected * more['scale'].double()[:, None, None]
        expected = expected + more['shift'].double()[:, None, None]
    if add:
        more['add'] = values(2, *size, outputs, dtype=add)
        expected = expected + nchw(more['add'])
    expected = F.relu(expected) if relu else expected
    if moments:
        tiles = -(-size[0] * size[1] // tile.pixels)
        for name in ('sums', 'squares'):
            more[name] = values.unwritten(2, tiles, outputs, dtype=torch.float32)
    kernel(x, weight, out, tile, precision, **more)
    most = bound(dtype, precision, out_dtype)
    check_close('1x1 convolution', nchw(out), expected, most)
    if moments:
        check_sums('sum of the 1x1 convolution', more['sums'], expected, most)
        check_sums('sum of the 1x1 convolution', more['squares'], expected.square(), most)


def attention_case(sums, squeeze, scale, out, branches, pixels) -> tuple:
    """Return the arguments of :func:`check_attention` for those of the kernel."""
    return sums.shape[2] // branches, len(squeeze[1]), branches, scale is not None


def check_attention(
    kernel: Callable,
    device: torch.device,
    width: int,
    hidden: int,
    branches: int,
    scaled: bool = True,
) -> None:
    """Check PSA's attention."""
    values, pixels = Values(device, torch.float32), 101
    sums = pixels / 9 * values(2, 83, branches * width)
    squeeze = [values(hidden, width), values(hidden), values(width, hidden), values(width)]
    scale = values(branches * width) if scaled else None
    out = values.unwritten(2, branches * width)
    kernel(sums, squeeze, scale, out, branches, pixels)
    mean = (sums.double().sum(1) / pixels).unflatten(1, (branches, width))
    weight1, bias1, weight2, bias2 = (t.double() for t in squeeze)
    scores = (F.relu(mean @ weight1.t() + bias1) @ weight2.t() + bias2).sigmoid()
    expected = scores.softmax(1).flatten(1) * (scale.double() if scaled else 1)
    check_close('attention', out, expected, bound(torch.float32, ''))


def pool_case(x, scale, shift, out) -> tuple:
    """Return the arguments of :func:`check_pool` for those of the kernel."""
    return x.dtype, x.shape[3]


def check_pool(kernel: Callable, device: torch.device, dtype: torch.dtype, channels: int) -> None:
    """Check the norm, ReLU and max pooling of a stem."""
    values = Values(device, dtype)
    x = values(2, 13, 26, channels)
    scale, shift = values(channels, dtype=torch.float32), values(channels, dtype=torch.float32)
    out = values.unwritten(2, 7, 13, channels)
    kernel(x, scale, shift, out)
    normed = nchw(x) * scale.double()[:, None, None] + shift.double()[:, None, None]
    expected = F.max_pool2d(F.relu(normed), 3, 2, 1)
    check_close('pooling of the stem', nchw(out), expected, bound(dtype, ''))
