"""The attention layers as plugin layers of mmcv, and PSA as a convolution layer.

They are in mmengine's root registry, like mmcv's own layers, so every model of the mm* stack finds
them: plugin layers in ``plugins=[dict(cfg=dict(type='SELayer2d'), ...)]``, the convolution in
``dcn=dict(type='PSAConv2d')``. Their names are those of the classes in
:mod:`epsanet_mmdet.layers`. Layers that normalise accept ``norm_cfg``, like those of mmcv.
"""

import inspect
import math
from typing import Optional, Sequence

from mmcv.cnn import build_conv_layer, build_plugin_layer
from mmengine.registry import MODELS
from torch import nn

from .. import layers
from ..errors import ArgumentError
from .norm_cfg import norm_layer_of

PLUGIN_LAYERS = (
    layers.SELayer2d,
    layers.ECALayer2d,
    layers.SoftChannelAttention2d,
    layers.CBAM2d,
    layers.BAM2d,
    layers.CoordAttention2d,
    layers.FcaLayer2d,
    layers.DualAttention2d,
    layers.PositionAttention2d,
    layers.DynamicMultiKernelECA2d,
    layers.BidirectionalECA2d,
    layers.MSCAM2d,
)


def as_plugin(layer: type[nn.Module]) -> type[nn.Module]:
    """Return a subclass of a layer whose arguments have mmcv's names.

    ``channels`` becomes ``in_channels`` and, in layers that normalise, ``norm_layer`` becomes
    ``norm_cfg``.
    """

    def plain(self, in_channels: int, **kwargs) -> None:
        layer.__init__(self, in_channels, **kwargs)

    def normalised(self, in_channels: int, norm_cfg: Optional[dict] = None, **kwargs) -> None:
        if norm_cfg is not None:
            kwargs['norm_layer'] = norm_layer_of(norm_cfg)
        layer.__init__(self, in_channels, **kwargs)

    normalises = 'norm_layer' in inspect.signature(layer).parameters
    members = dict(
        __init__=normalised if normalises else plain,
        __doc__=layer.__doc__,
        __module__=__name__,
    )
    return type(layer.__name__, (layer,), members)


def with_norm_cfg(cfg: dict, norm_cfg: dict) -> dict:
    """Return the config of a plugin layer, with ``norm_cfg`` as the default if it accepts one."""
    layer = cfg.get('type')
    if isinstance(layer, str):
        layer = MODELS.get(layer)
    ours = getattr(layer, '__module__', None) == __name__
    if ours and 'norm_cfg' in inspect.signature(layer).parameters:
        return {'norm_cfg': norm_cfg, **cfg}
    return cfg


def add_plugin(module: nn.Module, cfg: dict, channels: int) -> str:
    """Add a plugin layer to a module, and return its name.

    Args:
        module: The module.
        cfg: Config of the layer, and optionally ``postfix``, the end of its name.
        channels: Channels of the map that the layer receives.

    Raises:
        ArgumentError: If the module has a layer of this name already.
    """
    cfg = dict(cfg)
    postfix = cfg.pop('postfix', '')
    name, layer = build_plugin_layer(cfg, postfix, in_channels=channels)
    if hasattr(module, name):
        raise ArgumentError(
            f'there is a {name} already; add a postfix to the cfg of one of the two'
        )
    module.add_module(name, layer)
    return name


def replaced_conv(conv: nn.Conv2d, cfg: dict) -> nn.Module:
    """Return a convolution layer, such as PSA, with the shape of another convolution.

    Args:
        conv: The convolution to replace.
        cfg: Config of the layer, with a ``type`` that mmcv builds as a convolution.

    Raises:
        ArgumentError: If the layer cannot replace such a convolution.
    """
    sizes = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    # Layers of mmcv accept an integer; only square ones have one.
    size, stride, padding, dilation = (s[0] if len(set(s)) == 1 else s for s in sizes)
    return build_conv_layer(
        cfg,
        conv.in_channels,
        conv.out_channels,
        size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
    )


for _layer in PLUGIN_LAYERS:
    _plugin = as_plugin(_layer)
    globals()[_plugin.__name__] = _plugin  # where pickle looks for it
    MODELS.register_module(module=_plugin)


@MODELS.register_module()
class PSAConv2d(layers.PSAModule):
    """PSA in place of a 3x3 convolution, with the arguments of ``nn.Conv2d``.

    In backbones of the ResNet family, use ``dcn=dict(type='PSAConv2d')`` with ``stage_with_dcn``
    (mmdet's ``conv_cfg`` would also replace the 1x1 convolutions). In ResNet-50, the result is
    EPSANet-50 small; with ``groups=32``, as in ResNeXt-50 32x4d, it is EPSANet-50 large.

    By default, a grouped convolution (ResNeXt) passes its ``groups`` on to every branch. An
    ungrouped one uses the groups of EPSANet small, each lowered to its greatest common divisor with
    the input channels and the branch's output channels (Res2Net's convolutions are narrow). A
    depthwise one (MobileNetV2) gives every branch as many groups as it has output channels, the
    most that PSA allows: an output channel then reads as many neighbouring input channels as there
    are branches, instead of one.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of the number of branches.
        kernel_size: Must be 3.
        stride: Stride of all branches.
        padding: Must be ``dilation``, which keeps the size of the map.
        dilation: Dilation of all branches.
        groups: Groups of the replaced convolution.
        bias: Must be False.
        kernel_sizes: Odd kernel size of each branch.
        branch_groups: Groups of each branch, see above.
        reduction: Reduction ratio of the squeeze MLP.
        attention_type: See :class:`PSAModule`.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ArgumentError: If PSA cannot replace such a convolution, or its branches do not fit.
    """

    # Attributes of a convolution that mmcv's ConvModule reads.
    transposed = False
    output_padding = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        branch_groups: Optional[Sequence[int]] = None,
        reduction: int = 16,
        attention_type: str = 'softmax',
    ) -> None:
        if kernel_size != 3 or padding != dilation:
            raise ArgumentError(
                f'PSAConv2d replaces 3x3 convolutions that keep the map size, but got kernel_size='
                f'{kernel_size}, padding={padding}, dilation={dilation}; choose 3x3 convolutions, '
                f'in a ResNet through dcn and stage_with_dcn instead of conv_cfg'
            )
        if bias:
            raise ArgumentError('PSAConv2d has no bias, but got bias=True; use a norm_cfg')
        if branch_groups is None:
            branches = max(len(kernel_sizes), 1)  # none are refused below
            branch_groups = _fitting_groups(in_channels, out_channels, branches, groups)
        super().__init__(
            in_channels,
            out_channels,
            kernel_sizes,
            branch_groups,
            stride=stride,
            dilation=dilation,
            reduction=reduction,
            attention_type=attention_type,
        )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = (kernel_size, kernel_size)
        self.stride = (stride, stride)
        self.padding = (padding, padding)
        self.dilation = (dilation, dilation)
        self.groups = groups


def _fitting_groups(
    in_channels: int, out_channels: int, branches: int, groups: int
) -> tuple[int, ...]:
    if groups > 1:
        depthwise = groups == in_channels == out_channels
        return (out_channels // branches if depthwise else groups,) * branches
    wanted = (1, *(4 * 2**i for i in range(branches - 1)))
    return tuple(math.gcd(g, in_channels, out_channels // branches) for g in wanted)
