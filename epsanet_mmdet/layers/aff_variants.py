"""Simpler fusions, to measure what the parts of attentional feature fusion contribute.

arXiv 2009.14082 compares its fusion with modulations, which weigh one input only, and with
attention of fewer layers. As in AFF, x is the identity and y the residual, and the weights are
computed from their sum.
"""

from torch import Tensor, nn

from .aff import AFF, MSCAM2d, MSCAMWeights
from .checks import check_positive
from .norm import NormLayer


class PointwiseWeights(MSCAMWeights):
    """MS-CAM with one 1x1 convolution and one normalisation in each branch, not an MLP.

    Args:
        channels: Channels C.
        reduction: Ignored, since nothing is reduced.
        norm_layer: Builds the normalisation of both branches.

    Shape:
        (B, C, H, W) -> (B, C, H, W), values in 0..1.
    """

    @staticmethod
    def _branch(channels: int, reduction: int, norm_layer: NormLayer) -> nn.Module:
        check_positive('PointwiseWeights', channels=channels)
        return nn.Sequential(nn.Conv2d(channels, channels, 1), norm_layer(channels))


class PointwiseAFF(AFF):
    """AFF with the weights of :class:`PointwiseWeights`; the arguments are those of AFF."""

    weights_class = PointwiseWeights


class RefinementFusion(MSCAM2d):
    """Fusion that weighs the residual only: ``x + M(x + y) * y``.

    The arguments are those of :class:`~.aff.MSCAM2d`.

    Shape:
        Two of (B, C, H, W) -> (B, C, H, W).
    """

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + self.weights(x + y) * y


class GatedSumFusion(MSCAM2d):
    """Fusion that weighs the sum: ``M(x + y) * (x + y)``, MS-CAM after a plain addition.

    The arguments are those of :class:`~.aff.MSCAM2d`.

    Shape:
        Two of (B, C, H, W) -> (B, C, H, W).
    """

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return super().forward(x + y)
