"""The two-layer MLP that squeeze-and-excitation style attention shares."""

from torch import Tensor, nn


class SqueezeMLP(nn.Module):
    """Bottleneck MLP of squeeze and excitation, ``fc2(relu(fc1(x)))``, without the gate.

    The layers are 1x1 convolutions, so pooled maps go through without reshaping.

    Args:
        channels: Channels C of the input and of the output.
        reduction: Ratio r; the hidden width is ``max(C // r, 1)``.
        bias: Whether the two layers have a bias.

    Shape:
        (B, C, H, W) -> (B, C, H, W), usually with H = W = 1.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = True) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.relu(self.fc1(x)))
