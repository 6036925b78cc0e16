"""The residual block of EPSANet."""

from mmdet.models.backbones.resnet import Bottleneck

from ..layers import PSAModule
from ..layers.fusable import fusable


@fusable
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
