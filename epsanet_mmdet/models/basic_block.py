"""The block of ResNet-18 and ResNet-34, with plugin layers and replaced convolutions."""

from typing import Optional, Sequence

from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..errors import ArgumentError
from .plugins import replaced_conv

POSITIONS = ('after_conv1', 'after_conv2')


class PluginBasicBlock(BasicBlock):
    """mmdet's BasicBlock with the options ``plugins`` and ``dcn``, which mmdet's refuses.

    Args:
        *args: See mmdet's ``BasicBlock``.
        dcn (dict, optional): Convolution layer that replaces both 3x3 convolutions, unless it has
            mmdet's ``fallback_on_stride=True``.
        plugins (list[dict], optional): Layers, each with ``cfg`` and ``position``. ``after_conv1``
            follows the first activation. ``after_conv2`` follows the second norm and precedes the
            sum, as in the ResNet-18 of SENet, CBAM and ECA-Net.
        **kwargs: See mmdet's ``BasicBlock``.

    Raises:
        ArgumentError: If a position is unknown.
    """

    def __init__(
        self, *args, dcn: Optional[dict] = None, plugins: Optional[Sequence[dict]] = None, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        if dcn is not None:
            dcn = dict(dcn)
            if not dcn.pop('fallback_on_stride', False):
                self.conv1 = replaced_conv(self.conv1, dcn)
                self.conv2 = replaced_conv(self.conv2, dcn)
        layers = {position: [] for position in POSITIONS}
        for plugin in plugins or ():
            if plugin['position'] not in POSITIONS:
                raise ArgumentError(
                    f'The blocks of ResNet-18 and ResNet-34 have no '
                    f'position={plugin["position"]!r}; choose one of '
                    + ', '.join(map(repr, POSITIONS))
                )
            layers[plugin['position']].append(plugin['cfg'])
        channels = self.conv2.out_channels
        self.after_conv1_plugin_names = self.make_block_plugins(channels, layers['after_conv1'])
        self.after_conv2_plugin_names = self.make_block_plugins(channels, layers['after_conv2'])

    make_block_plugins = Bottleneck.make_block_plugins
    forward_plugin = Bottleneck.forward_plugin

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return self.relu(checkpoint(self._sum, x, use_reentrant=False))
        return self.relu(self._sum(x))

    def _sum(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.forward_plugin(out, self.after_conv1_plugin_names)
        out = self.norm2(self.conv2(out))
        out = self.forward_plugin(out, self.after_conv2_plugin_names)
        return out + (x if self.downsample is None else self.downsample(x))
