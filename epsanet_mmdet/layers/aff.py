"""Attentional feature fusion (arXiv 2009.14082)."""

from torch import Tensor, nn

from .norm import NormLayer, PooledBatchNorm2d
from .se import SqueezeMLP


class MSCAMWeights(nn.Module):
    """Multi-scale channel attention weights: ``M(z) = sigmoid(local(z) + global(gap(z)))``.

    Both branches are squeeze MLPs with normalisation after each layer.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of both MLPs.
        norm_layer: Builds the normalisations of both MLPs.

    Shape:
        (B, C, H, W) -> (B, C, H, W), values in 0..1.
    """

    def __init__(
        self, channels: int, reduction: int = 4, norm_layer: NormLayer = PooledBatchNorm2d
    ) -> None:
        super().__init__()
        self.local_att, self.global_att = (
            self._branch(channels, reduction, norm_layer) for _ in range(2)
        )

    @staticmethod
    def _branch(channels: int, reduction: int, norm_layer: NormLayer) -> nn.Module:
        mlp = SqueezeMLP(channels, reduction, norm_layer=norm_layer)
        return nn.Sequential(mlp, norm_layer(channels))

    def forward(self, z: Tensor) -> Tensor:
        return (self.local_att(z) + self.global_att(z.mean(dim=(2, 3), keepdim=True))).sigmoid()


class MSCAM2d(nn.Module):
    """Multi-scale channel attention: ``x * M(x)``, with M of :class:`MSCAMWeights`.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of both MLPs.
        norm_layer: Builds the normalisations of both MLPs.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self, channels: int, reduction: int = 4, norm_layer: NormLayer = PooledBatchNorm2d
    ) -> None:
        super().__init__()
        self.weights = MSCAMWeights(channels, reduction, norm_layer)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class DirectAddFusion(nn.Module):
    """Plain addition, the baseline of attentional fusion: ``x + y``.

    Args:
        channels: Ignored; the other fusions need it.
        reduction: Ignored, too.
        norm_layer: Ignored, too.

    Shape:
        Two of (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self, channels: int = 1, reduction: int = 1, norm_layer: NormLayer = PooledBatchNorm2d
    ) -> None:
        super().__init__()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class AFF(nn.Module):
    """Attentional feature fusion: ``scale (M(x + y) * x + (1 - M(x + y)) * y)``.

    In the paper, x is the identity of a residual block or the lower level of a pyramid, and y is
    the residual or the upper level.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of M, see :class:`MSCAMWeights`.
        scale: 2 in the authors' code, where equal weights mean ``x + y``; 1 in the paper.
        norm_layer: Builds the normalisations of M.

    Shape:
        Two of (B, C, H, W) -> (B, C, H, W).
    """

    weights_class = MSCAMWeights

    def __init__(
        self,
        channels: int,
        reduction: int = 4,
        scale: float = 2.0,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        self.weights = self.weights_class(channels, reduction, norm_layer)
        self.scale = scale

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.scale * _blend(self.weights(x + y), x, y)


class IAFF(nn.Module):
    """Iterative attentional feature fusion: AFF whose weights come from another AFF.

    ``z = M1(x + y) * x + (1 - M1(x + y)) * y``, output ``M2(z) * x + (1 - M2(z)) * y``. M1 and M2
    have separate weights, as in the paper; the released PyTorch port mistakenly uses the global
    branch of M1 twice.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of M1 and M2, see :class:`MSCAMWeights`.
        norm_layer: Builds the normalisations of M1 and M2.

    Shape:
        Two of (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self, channels: int, reduction: int = 4, norm_layer: NormLayer = PooledBatchNorm2d
    ) -> None:
        super().__init__()
        self.weights1 = MSCAMWeights(channels, reduction, norm_layer)
        self.weights2 = MSCAMWeights(channels, reduction, norm_layer)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z = _blend(self.weights1(x + y), x, y)
        return _blend(self.weights2(z), x, y)


def _blend(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return weights * x + (1 - weights) * y
