"""Bidirectional efficient channel attention, a variation of arXiv 1910.03151."""

from torch import Tensor, nn

from .eca import channel_conv, channel_sequence
from .squeeze import SqueezeMLP


class BidirectionalECA2d(nn.Module):
    """ECA along the channels in both directions, mixed by a gate.

    With ``s = gap(x)``: ``f = sigmoid(conv1d_3(s))``,
    ``b = flip(sigmoid(conv1d_3'(flip(s))))``, ``g = softmax(W2 relu(W1 s))``,
    output ``x * sigmoid(g_0 f + g_1 b)``.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the gate's MLP.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.forward_conv = channel_conv(3)
        self.backward_conv = channel_conv(3)
        self.gate = SqueezeMLP(channels, reduction, out_channels=2)

    def forward(self, x: Tensor) -> Tensor:
        s = channel_sequence(x)
        f = self.forward_conv(s).sigmoid()
        b = self.backward_conv(s.flip(2)).sigmoid().flip(2)
        g = self.gate(s.transpose(1, 2).unsqueeze(3)).squeeze(3).softmax(dim=1)
        mixed = g[:, :1] * f + g[:, 1:] * b
        return x * mixed.sigmoid().transpose(1, 2).unsqueeze(3)
