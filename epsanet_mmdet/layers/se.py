"""Squeeze and excitation (arXiv 1709.01507)."""

from typing import Optional

from torch import Tensor, nn

from .checks import check_positive
from .norm import NormLayer


class SqueezeMLP(nn.Module):
    """Bottleneck MLP of squeeze and excitation, ``fc2(relu(fc1(x)))``, without the gate.

    Its layers are 1x1 convolutions, so pooled maps need no reshaping.

    Args:
        channels: Channels C of the input.
        reduction: Ratio r; the hidden width is ``max(C // r, 1)``.
        bias: Add a bias to both layers.
        norm_layer: Builds the normalisation after the first layer; none by default.
        out_channels: Channels of the output, C by default.

    Shape:
        (B, C, H, W) -> (B, out_channels, H, W), usually with H = W = 1.

    Raises:
        ArgumentError: If channels or reduction is less than 1.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        bias: bool = True,
        norm_layer: Optional[NormLayer] = None,
        out_channels: Optional[int] = None,
    ) -> None:
        super().__init__()
        check_positive('SqueezeMLP', channels=channels, reduction=reduction)
        hidden = max(channels // reduction, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.norm = norm_layer(hidden) if norm_layer else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(hidden, out_channels or channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.relu(self.norm(self.fc1(x))))


class SELayer2d(nn.Module):
    """Squeeze and excitation: ``x * sigmoid(W2 relu(W1 gap(x)))``.

    By default, the two layers have no bias, like the implementation behind the published detection
    costs of SENet-50 (Faster R-CNN 44.02 M). The authors' Caffe models and the weights of timm and
    Cadene have biases.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the MLP.
        bias: Add a bias to both layers.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False) -> None:
        super().__init__()
        self.se = SqueezeMLP(channels, reduction, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels, (B, C, 1, 1)."""
        return self.se(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
