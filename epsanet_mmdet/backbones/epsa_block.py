"""The residual block of EPSANet."""

from typing import Optional

import torch
from mmdet.models.backbones.resnet import Bottleneck
from torch import Tensor, nn

from ..layers import PSAModule, cpu_kernels
from ..layers.block_training import (
    conv1x1,
    norm_add_relu,
    norm_relu_branches,
    norm_relu_conv1x1,
)
from ..layers.bypass import any_learns, hooked, may_be_bypassed
from ..layers.channel_norm import ChannelNorm, is_channel_norm
from ..layers.fused_ops import pointwise_conv
from ..layers.norm import affine_of, is_affine

LARGE_MAP = 2**21  # values


class EPSABlock(Bottleneck):
    """ResNet bottleneck whose 3x3 convolution is a :class:`PSAModule`.

    Args:
        inplanes (int): Input channels.
        planes (int): A quarter of the output channels.
        width_factor (float): Channels of the PSA module over ``planes``.
        psa (dict): ``kernel_sizes``, ``groups`` and ``reduction`` of the PSA module.
        **kwargs: As of mmdet's ``Bottleneck``.
    """

    def __init__(
        self, inplanes: int, planes: int, width_factor: float, psa: dict, **kwargs
    ) -> None:
        width = int(planes * width_factor)
        # Bottleneck makes `width * self.expansion` output channels.
        self.expansion = planes * EPSABlock.expansion // width
        super().__init__(inplanes, width, **kwargs)
        self.conv2 = PSAModule(
            width, width, stride=self.conv2_stride, dilation=self.dilation, **psa
        )

    def forward(self, x: Tensor) -> Tensor:
        learns = any_learns(x, self)
        if not self._fuses(x, learns):
            return super().forward(x)
        return self._forward_training(x) if learns else self._forward_fused(x)

    def _fuses(self, x: Tensor, learns: bool) -> bool:
        """Whether fewer passes over memory compute the same here: on CPUs."""
        compiles = torch.compiler.is_compiling()
        if self.plugins or cpu_kernels.for_another_program() or learns and compiles:
            return False
        if learns and (self.with_cp or x.numel() == 0):
            return False
        # Fewer passes of the library pay too, in evaluation, where maps do not fit the cache.
        by_library = not (learns or compiles) and x.numel() > LARGE_MAP
        takes = cpu_kernels.would_take if by_library else cpu_kernels.takes
        ends = [(self.conv1, self.norm1), (self.conv3, self.norm3)]
        if self.downsample is not None:
            if type(self.downsample) is not nn.Sequential or hooked(self.downsample):
                return False
            ends.append(tuple(self.downsample[-2:]))
        norms = [self.norm2, *(norm for _, norm in ends)]
        return (
            takes(x, *(conv.weight for conv, _ in ends))
            and all(_is_pointwise(conv) for conv, _ in ends)
            and all(is_channel_norm(norm, x) if learns else is_affine(norm) for norm in norms)
            and type(self.conv2) is PSAModule
            and self.conv2.is_plain()
            and may_be_bypassed(nn.ReLU, self.relu)
        )

    def _forward_fused(self, x: Tensor) -> Tensor:
        identity = x
        if self.downsample is not None:
            for module in self.downsample[:-2]:
                identity = module(identity)
            identity = _conv_norm(identity, *self.downsample[-2:])
        out = _conv_norm(x, self.conv1, self.norm1, relu=True)
        features, attention = self.conv2.features_and_attention(out)
        scale, shift = affine_of(self.norm2)
        return _conv_norm(
            features,
            self.conv3,
            self.norm3,
            relu=True,
            add=identity,
            in_scale=attention * scale,
            in_shift=shift,
        )

    def _forward_training(self, x: Tensor) -> Tensor:
        identity = x
        if self.downsample is not None:
            *before, conv, norm = self.downsample
            for module in before:
                identity = module(identity)
            identity = norm_add_relu(conv1x1(identity, conv), ChannelNorm(norm), relu=False)
        out = conv1x1(x, self.conv1)
        out = norm_relu_branches(out, ChannelNorm(self.norm1), self.conv2)
        out = norm_relu_conv1x1(out, ChannelNorm(self.norm2, self.conv2), self.conv3)
        return norm_add_relu(out, ChannelNorm(self.norm3), identity)


def _is_pointwise(conv: nn.Module) -> bool:
    return (
        may_be_bypassed(nn.Conv2d, conv)
        and conv.kernel_size == (1, 1)
        and conv.padding == (0, 0)
        and conv.stride[0] == conv.stride[1]
        and conv.groups == 1
        and conv.bias is None
    )


def _conv_norm(
    x: Tensor,
    conv: nn.Conv2d,
    norm: nn.BatchNorm2d,
    relu: bool = False,
    add: Optional[Tensor] = None,
    in_scale: Optional[Tensor] = None,
    in_shift: Optional[Tensor] = None,
) -> Tensor:
    scale, shift = affine_of(norm)
    weight, stride = conv.weight, conv.stride[0]
    return pointwise_conv(x, weight, scale, shift, stride, relu, add, in_scale, in_shift)
