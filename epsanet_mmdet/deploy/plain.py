"""Convolutions written as plain modules of torch that compute the same."""

from torch import nn

from ..layers.grouped_conv import GroupedConv2d, merge_groups, merged_groups


def plain_conv(conv: nn.Conv2d) -> nn.Conv2d:
    """Write a convolution as a plain one; the parameters are shared."""
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        bias=conv.bias is not None,
        device='meta',
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    return plain


def merged_conv(conv: GroupedConv2d) -> nn.Conv2d:
    """Write a grouped convolution as the plain one that is computed with its groups merged."""
    plain = plain_conv(conv)
    plain.groups = merged_groups(conv.in_channels, conv.groups, conv.weight)
    plain.weight = nn.Parameter(merge_groups(conv.weight.detach(), conv.groups, plain.groups))
    return plain


def plain_linear(conv: nn.Conv2d) -> nn.Linear:
    """Write a 1x1 convolution as what it is in a single position."""
    linear = nn.Linear(conv.in_channels, conv.out_channels, device='meta')
    linear.weight, linear.bias = nn.Parameter(conv.weight.detach().flatten(1)), conv.bias
    return linear
