"""Dynamic multi-kernel efficient channel attention, a variation of arXiv 1910.03151."""

from torch import Tensor, nn

from .checks import check_positive


class DynamicMultiKernelECA2d(nn.Module):
    """Channel gate from depthwise convolutions of three sizes, mixed by the input.

    With ``s = gap(x)`` as (B, C, 1) and ``m = softmax(W s)``, output
    ``x * sigmoid(m_0 conv_3(s) + m_1 conv_5(s) + m_2 conv_7(s))``.

    The sequence has length 1, so only the centre tap of each kernel is used; the other taps keep
    their initial values. The original also computes a ``gamma`` from the input and never uses it.
    It is left out, because parameters without a gradient break distributed training.

    Args:
        channels: Channels C.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If channels is less than 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_positive('DynamicMultiKernelECA2d', channels=channels)
        self.conv3 = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.conv5 = nn.Conv1d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.conv7 = nn.Conv1d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.fc = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3))
        s = pooled.unsqueeze(2)
        m0, m1, m2 = self.fc(pooled).softmax(dim=1).unsqueeze(2).split(1, dim=1)
        gate = m0 * self.conv3(s) + m1 * self.conv5(s) + m2 * self.conv7(s)
        return x * gate.sigmoid().unsqueeze(3)
