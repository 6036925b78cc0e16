"""EPSANet backbones (arXiv 2105.14447)."""

from typing import NamedTuple, Optional, Sequence

from mmdet.models.backbones.resnet import Bottleneck, ResNet
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from torch import nn

from ..checkpoint import require_match
from ..errors import ArgumentError
from ..layers import PSAModule
from ..layers.checks import check_choice
from ..layers.fusable import fusable
from .bottleneck import BOTTLENECK_DEPTHS
from .resnet import PluginMixin, check_no_dcn


class Arch(NamedTuple):
    """Kernel sizes and groups of the PSA branches, and the PSA width of the first stage."""

    kernel_sizes: Sequence[int]
    groups: Sequence[int]
    width: int


class CountsModes:
    """Mixin of modules that counts how often their mode was set.

    Faster implementations prepare a module for evaluation, and do it again after each change of
    mode. Operations on ``.data`` change tensors unseen, as mmengine's EMA does before it evaluates.
    """

    mode_count = 0

    def train(self, mode: bool = True) -> nn.Module:
        self.mode_count += 1
        return super().train(mode)


@fusable
class EPSABlock(CountsModes, Bottleneck):
    """ResNet bottleneck whose 3x3 convolution is a :class:`PSAModule`.

    Args:
        inplanes (int): Input channels.
        planes (int): A quarter of the output channels.
        width_factor (float): Channels of the PSA module divided by ``planes``.
        psa (dict): ``kernel_sizes``, ``groups``, ``reduction`` and ``attention_type`` of the PSA
            module.
        **kwargs: All options of mmdet's ``Bottleneck``.
    """

    psa_class = PSAModule

    def __init__(
        self, inplanes: int, planes: int, width_factor: float, psa: dict, **kwargs
    ) -> None:
        width = int(planes * width_factor)
        # Bottleneck has `width * self.expansion` output channels.
        self.expansion = planes * EPSABlock.expansion // width
        super().__init__(inplanes, width, **kwargs)
        self.conv2 = self.psa_class(
            width, width, stride=self.conv2_stride, dilation=self.dilation, **psa
        )


@MODELS.register_module()
@fusable
class EPSANet(CountsModes, PluginMixin, ResNet):
    """EPSANet: a ResNet whose 3x3 convolutions are Pyramid Squeeze Attention modules.

    Paper: `EPSANet: An Efficient Pyramid Squeeze Attention Block on Convolutional Neural
    Network <https://arxiv.org/abs/2105.14447>`_.

    ``arch='small'`` and ``'large'`` are the published models. The authors never released "large".
    Its published costs imply the kernel sizes 3, 5, 5, 7; the text of the paper states 3, 5, 7, 9,
    which is ``'large-paper'`` here.

    Args:
        depth (int): 50, 101 or 152.
        arch (str): ``'small'``, ``'large'`` or ``'large-paper'``.
        kernel_sizes (Sequence[int], optional): Override those of ``arch``.
        groups (Sequence[int], optional): Override those of ``arch``.
        width (int, optional): Overrides that of ``arch``: the channels of the PSA modules in the
            first stage for 64 ``base_channels``, which double from stage to stage; a divisor of
            256.
        reduction (int): Reduction ratio of the squeeze MLP in the PSA modules.
        attention_type (str): ``'softmax'``, or for ablations ``'sigmoid'`` or ``'none'``, see
            :class:`PSAModule`.
        **kwargs: All options of mmdet's ``ResNet`` except ``dcn``, which would replace PSA.

    Raises:
        ArgumentError: If the depth, arch or type of attention is unknown, or the branches do not
            fit the width.
    """

    arch_settings = {depth: (EPSABlock, blocks) for depth, (_, blocks) in BOTTLENECK_DEPTHS.items()}
    archs = {
        'small': Arch((3, 5, 7, 9), (1, 4, 8, 16), width=64),
        'large': Arch((3, 5, 5, 7), (32, 32, 32, 32), width=128),
        'large-paper': Arch((3, 5, 7, 9), (32, 32, 32, 32), width=128),
    }

    def __init__(
        self,
        depth: int,
        arch: str = 'small',
        kernel_sizes: Optional[Sequence[int]] = None,
        groups: Optional[Sequence[int]] = None,
        width: Optional[int] = None,
        reduction: int = 16,
        attention_type: str = 'softmax',
        **kwargs,
    ) -> None:
        check_choice(type(self).__name__, 'depth', depth, self.arch_settings)
        check_choice(type(self).__name__, 'arch', arch, self.archs)
        check_no_dcn(type(self).__name__, kwargs)
        preset = self.archs[arch]
        width = preset.width if width is None else width
        if width < 1 or 256 % width:
            raise ArgumentError(
                f'{type(self).__name__} needs a width that divides 256, but got width={width}'
            )
        self.width_factor = width / 64
        self.psa = dict(
            kernel_sizes=tuple(preset.kernel_sizes if kernel_sizes is None else kernel_sizes),
            groups=tuple(preset.groups if groups is None else groups),
            reduction=reduction,
            attention_type=attention_type,
        )
        super().__init__(depth, **kwargs)
        require_match(self)

    def make_res_layer(self, **kwargs) -> ResLayer:
        return super().make_res_layer(width_factor=self.width_factor, psa=self.psa, **kwargs)
