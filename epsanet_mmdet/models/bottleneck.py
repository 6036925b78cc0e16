"""The depths of mmdet's ResNet with bottlenecks, and bottlenecks that do not just add."""

import torch.utils.checkpoint as cp
from mmdet.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor

BOTTLENECK_DEPTHS = {
    depth: settings for depth, settings in ResNet.arch_settings.items() if settings[0] is Bottleneck
}


class CombiningMixin:
    """Mixin of mmdet's bottlenecks whose output is ``combine(identity, residual)``."""

    def combine(self, identity: Tensor, residual: Tensor) -> Tensor:
        """Return the output of the block."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self._combined, x, use_reentrant=False)
        return self._combined(x)

    def _combined(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        residual = self._plugged(1, self.relu(self.norm1(self.conv1(x))))
        residual = self._plugged(2, self._spatial(residual))
        residual = self._plugged(3, self.norm3(self.conv3(residual)))
        return self.combine(identity, residual)

    def _spatial(self, x: Tensor) -> Tensor:
        return self.relu(self.norm2(self.conv2(x)))

    def _plugged(self, i: int, x: Tensor) -> Tensor:
        if not self.with_plugins:
            return x
        return self.forward_plugin(x, getattr(self, f'after_conv{i}_plugin_names'))
