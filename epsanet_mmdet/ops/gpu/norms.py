"""Triton kernels of batch norms, as numbers of channels: scales, shifts and their gradients.

A norm may follow PSA's attention, which weights the channels of each image.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from ..parts import norm_tensors

CHANNELS, ROWS = 16, 256  # of a tile


class NormedChannels(NamedTuple):
    """What a norm does to every channel.

    Attributes:
        scale: (C,), or (B, C) after an attention.
        shift: (C,).
        mean: Mean of each channel.
        inverse: Inverse standard deviation of each channel.
    """

    scale: Tensor
    shift: Tensor
    mean: Tensor
    inverse: Tensor


@triton.jit
def _norm_kernel(
    sums, squares, attention, weight, bias, running_mean, running_var, tracked,
    scale, shift, mean_out, inverse_out,
    rows, channels, count, eps, momentum,
    TRAINING: tl.constexpr, ATTENTION: tl.constexpr, CUMULATIVE: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    channel, r = tl.program_id(0) * C + tl.arange(0, C), tl.arange(0, R)
    if TRAINING:
        total, square = tl.zeros((C,), tl.float64), tl.zeros((C,), tl.float64)
        for first in range(0, rows, R):
            row = first + r
            real = (row < rows)[:, None]
            place = row[:, None] * channels + channel[None, :]
            s = tl.load(sums + place, mask=real, other=0.0)
            q = tl.load(squares + place, mask=real, other=0.0)
            if ATTENTION:
                a = tl.load(attention + place, mask=real, other=0.0)
                s, q = s * a, q * a * a
            total += tl.sum(s.to(tl.float64), 0)
            square += tl.sum(q.to(tl.float64), 0)
        mean64 = total / count
        variance = tl.maximum(square / count - mean64 * mean64, 0.0).to(tl.float32)
        mean = mean64.to(tl.float32)
        if CUMULATIVE:
            momentum = 1.0 / (tl.load(tracked) + 1).to(tl.float32)
        old = tl.load(running_mean + channel)
        tl.store(running_mean + channel, old + momentum * (mean - old))
        old = tl.load(running_var + channel)
        unbiased = variance * (count / (count - 1.0))
        tl.store(running_var + channel, old + momentum * (unbiased - old))
    else:
        mean = tl.load(running_mean + channel)
        variance = tl.load(running_var + channel)
    inverse = 1.0 / tl.sqrt(variance + eps)
    by = tl.load(weight + channel) * inverse
    tl.store(mean_out + channel, mean)
    tl.store(inverse_out + channel, inverse)
    tl.store(shift + channel, tl.load(bias + channel) - mean * by)
    if ATTENTION:
        for row in range(rows):
            place = row * channels + channel
            tl.store(scale + place, by * tl.load(attention + place))
    else:
        tl.store(scale + channel, by)


def normalise(
    norm: nn.BatchNorm2d,
    count: int,
    sums: Optional[Tensor] = None,
    squares: Optional[Tensor] = None,
    attention: Optional[Tensor] = None,
) -> NormedChannels:
    """Return what a norm does, and update its running statistics in training mode.

    Args:
        norm: The norm, with all parameters and statistics.
        count: Values of a channel.
        sums: (rows, C), float32: parts of the sums of each channel, for training mode. After an
            attention, the sums of each image's unweighted channel.
        squares: Parts of the sums of squares, likewise.
        attention: (B, C), float32.
    """
    weight, bias, running_mean, running_var = norm_tensors(norm)
    channels = len(weight)
    results = weight.new_empty(3, channels)
    scale = torch.empty_like(weight if attention is None else attention)
    rows = 0 if attention is None else len(attention)
    _norm_kernel[(channels // CHANNELS,)](
        sums, squares, attention, weight, bias, running_mean, running_var,
        norm.num_batches_tracked, scale, *results,
        len(sums) if norm.training else rows, channels, count, norm.eps,
        0.0 if norm.momentum is None else norm.momentum,
        TRAINING=norm.training,
        ATTENTION=attention is not None,
        CUMULATIVE=norm.momentum is None,
        R=ROWS,
        C=CHANNELS,
        num_warps=4,
    )  # fmt: skip
    if norm.training:
        norm.num_batches_tracked.add_(1)
    return NormedChannels(scale, *results)


@triton.jit
def _gradient_kernel(
    sums, products, weight, inverse, of_weight, of_bias, alpha, beta, delta,
    rows, channels, count, TRAINING: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    channel, r = tl.program_id(0) * C + tl.arange(0, C), tl.arange(0, R)
    total, product = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
    for first in range(0, rows, R):
        row = first + r
        real = (row < rows)[:, None]
        place = row[:, None] * channels + channel[None, :]
        total += tl.sum(tl.load(sums + place, mask=real, other=0.0), 0)
        product += tl.sum(tl.load(products + place, mask=real, other=0.0), 0)
    inv = tl.load(inverse + channel)
    slope = tl.load(weight + channel) * inv
    tl.store(of_bias + channel, total)
    tl.store(of_weight + channel, product * inv)
    tl.store(alpha + channel, slope)
    if TRAINING:
        tl.store(beta + channel, -slope * inv * inv * product / count)
        tl.store(delta + channel, -slope * total / count)
    else:
        zero = tl.zeros((C,), tl.float32)
        tl.store(beta + channel, zero)
        tl.store(delta + channel, zero)


def normalise_gradient(
    norm: nn.BatchNorm2d, normed: NormedChannels, count: int, sums: Tensor, products: Tensor
) -> Tuple[List[Tensor], List[Tensor]]:
    """Return the gradients of weight and bias, and the slopes of the gradient of the map.

    Args:
        norm: The norm.
        normed: Result of :func:`normalise`.
        count: Values of a channel.
        sums: (rows, C): parts of the sums of the gradient.
        products: (rows, C): parts of the sums of the gradient times the centred map.

    Returns:
        The gradients, and (alpha, beta, delta): the gradient of the map is
        ``alpha * g + beta * (x - mean) + delta``.
    """
    channels = len(normed.mean)
    results = normed.mean.new_empty(5, channels)
    _gradient_kernel[(channels // CHANNELS,)](
        sums, products, norm.weight, normed.inverse, *results,
        sums.numel() // channels, channels, count,
        TRAINING=norm.training, R=ROWS, C=CHANNELS, num_warps=4,
    )  # fmt: skip
    of_weight, of_bias, *slopes = results
    return [of_weight, of_bias], slopes


@triton.jit
def _weighted_gradient_kernel(
    sums, products, totals, squares, attention, weight, mean, inverse,
    of_weight, of_bias, of_attention, alpha, beta, delta,
    batch, rows, channels, count, totals_image,
    TRAINING: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    channel, r = tl.program_id(0) * C + tl.arange(0, C), tl.arange(0, R)
    centre, inv = tl.load(mean + channel), tl.load(inverse + channel)
    slope = tl.load(weight + channel) * inv
    of_norm, of_map = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
    for image in range(batch):
        d, e = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
        for first in range(0, rows, R):
            row = first + r
            real = (row < rows)[:, None]
            place = (image * rows + row[:, None]) * channels + channel[None, :]
            d += tl.sum(tl.load(sums + place, mask=real, other=0.0), 0)
            e += tl.sum(tl.load(products + place, mask=real, other=0.0), 0)
        at = image * channels + channel
        tl.store(delta + at, d)
        tl.store(beta + at, e)
        of_norm += d
        of_map += tl.load(attention + at) * e - centre * d
    tl.store(of_bias + channel, of_norm)
    tl.store(of_weight + channel, of_map * inv)
    mean_d, mean_v = of_norm / count, of_map * inv / count
    if not TRAINING:
        mean_d, mean_v = mean_d * 0.0, mean_v * 0.0
    tl.debug_barrier()
    for image in range(batch):
        at = image * channels + channel
        a, d, e = tl.load(attention + at), tl.load(delta + at), tl.load(beta + at)
        s = tl.load(totals + image * totals_image + channel)
        q = 0.0
        if TRAINING:
            q = tl.load(squares + image * totals_image + channel)
        through = e - mean_d * s - mean_v * inv * (a * q - centre * s)
        tl.store(of_attention + at, slope * through)
        tl.store(alpha + at, a * slope)
        tl.store(beta + at, -a * a * slope * mean_v * inv)
        tl.store(delta + at, a * slope * (inv * centre * mean_v - mean_d))


def weighted_gradient(
    norm: nn.BatchNorm2d,
    normed: NormedChannels,
    count: int,
    sums: Tensor,
    products: Tensor,
    totals: Tensor,
    squares: Optional[Tensor],
    attention: Tensor,
) -> Tuple[List[Tensor], Tensor, Sequence[Tensor]]:
    """Return the gradients of a norm after an attention.

    Args:
        norm: The norm.
        normed: Result of :func:`normalise`.
        count: Values of a channel.
        sums: (B, rows, C): parts of the sums of the gradient.
        products: (B, rows, C): parts of the sums of the gradient times the unweighted map.
        totals: (B, C): sums of the unweighted map.
        squares: (B, C): sums of its squares, with the strides of totals; for training mode.
        attention: (B, C).

    Returns:
        The gradients of weight and bias, that of the attention, and alpha, beta and delta, (B, C):
        the gradient of the unweighted map is ``alpha * g + beta * x + delta``, plus that through
        the attention.
    """
    batch, rows, channels = sums.shape
    of_norm, of_images = (
        normed.mean.new_empty(2, channels),
        attention.new_empty(4, *attention.shape),
    )
    _weighted_gradient_kernel[(channels // CHANNELS,)](
        sums, products, totals, squares, attention, norm.weight, normed.mean, normed.inverse,
        *of_norm, *of_images,
        batch, rows, channels, count, totals.stride(0),
        TRAINING=norm.training, R=ROWS, C=CHANNELS, num_warps=4,
    )  # fmt: skip
    of_attention, *slopes = of_images
    return list(of_norm), of_attention, slopes
