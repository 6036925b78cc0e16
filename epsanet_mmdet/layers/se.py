"""Squeeze and excitation (arXiv 1709.01507)."""

from torch import Tensor, nn

from .squeeze import SqueezeMLP


class SELayer2d(nn.Module):
    """Squeeze and excitation: ``x * sigmoid(W2 relu(W1 gap(x)))``.

    By default the two layers have no bias, as in the implementation that the published detection
    costs of SENet-50 come from (Faster R-CNN 44.02 M). The authors' Caffe models have biases, and
    so have timm's and Cadene's weights.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the MLP.
        bias: Whether the two layers have a bias.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False) -> None:
        super().__init__()
        self.se = SqueezeMLP(channels, reduction, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.se(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
