"""Bottleneck attention module (arXiv 1807.06514)."""

from torch import Tensor, nn

from .norm import NormLayer, PooledBatchNorm2d, conv_norm_relu
from .se import SqueezeMLP


class BAM2d(nn.Module):
    """Bottleneck attention: ``x + x * sigmoid(channel(x) + spatial(x))``.

    ``channel`` is a squeeze MLP of ``gap(x)``. ``spatial`` is a 1x1 convolution to C/r channels,
    two dilated 3x3 convolutions, and a 1x1 convolution to one channel. Every hidden layer is
    normalised, as in the authors' code; the paper's formula normalises the branches' outputs.

    The paper adds one after each of the first three stages of a ResNet.

    Args:
        channels: Channels C.
        reduction: Reduction ratio r of both branches.
        dilation: Dilation of the 3x3 convolutions.
        as_coded: Multiply the branches, like the authors' code and weights; the paper adds them.
        norm_layer: Builds the normalisations.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        dilation: int = 4,
        as_coded: bool = False,
        norm_layer: NormLayer = PooledBatchNorm2d,
    ) -> None:
        super().__init__()
        self.as_coded = as_coded
        self.channel = SqueezeMLP(channels, reduction, norm_layer=norm_layer)
        hidden = max(channels // reduction, 1)
        self.spatial = nn.Sequential(
            *conv_norm_relu(channels, hidden, 1, norm_layer=norm_layer),
            *conv_norm_relu(hidden, hidden, 3, dilation, norm_layer=norm_layer),
            *conv_norm_relu(hidden, hidden, 3, dilation, norm_layer=norm_layer),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the values, (B, C, H, W)."""
        channel = self.channel(x.mean(dim=(2, 3), keepdim=True))
        spatial = self.spatial(x)
        gate = channel * spatial if self.as_coded else channel + spatial
        return gate.sigmoid()
