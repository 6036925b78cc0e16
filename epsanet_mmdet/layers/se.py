"""Squeeze and excitation (arXiv 1709.01507)."""

from torch import Tensor, nn

from .squeeze import SqueezeMLP


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
        return x * self.se(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
