"""Bottleneck attention module (arXiv 1807.06514)."""

from torch import Tensor, nn

from .norm import conv_norm_relu
from .squeeze import SqueezeMLP


class BAM2d(nn.Module):
    """Bottleneck attention: ``x + x * sigmoid(channel(x) + spatial(x))``.

    ``channel`` is a squeeze MLP of ``gap(x)``; ``spatial`` is 1x1 to C/r, two dilated 3x3,
    1x1 to one channel. The two are added, as in the paper; the authors' code multiplies
    them. Normalisation follows every hidden layer, as in their code; the paper's formula
    normalises the outputs of the branches.

    The paper puts one after each of the first three stages of a ResNet.

    Args:
        channels: Channels C.
        reduction: Reduction ratio r of both branches.
        dilation: Dilation of the 3x3 convolutions.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16, dilation: int = 4) -> None:
        super().__init__()
        self.channel = SqueezeMLP(channels, reduction, norm=True)
        hidden = max(channels // reduction, 1)
        self.spatial = nn.Sequential(
            *conv_norm_relu(channels, hidden, 1),
            *conv_norm_relu(hidden, hidden, 3, dilation),
            *conv_norm_relu(hidden, hidden, 3, dilation),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        channel = self.channel(x.mean(dim=(2, 3), keepdim=True))
        return x + x * (channel + self.spatial(x)).sigmoid()
