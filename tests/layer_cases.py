"""Every attention and fusion layer, small, with the reference it must equal."""

from functools import partial

import layer_references as references

from epsanet_mmdet import layers

CHANNELS = 64

ATTENTIONS = {
    'SELayer2d': (layers.SELayer2d, references.se),
    'ECALayer2d': (layers.ECALayer2d, references.eca),
    'SoftChannelAttention2d': (layers.SoftChannelAttention2d, references.soft_channel),
    'CBAM2d': (layers.CBAM2d, references.cbam),
    'BAM2d': (layers.BAM2d, references.bam),
    'CoordAttention2d': (layers.CoordAttention2d, references.coordinate),
    'FcaLayer2d': (
        partial(layers.FcaLayer2d, dct_size=14),
        partial(references.fca, size=14),
    ),
    'PositionAttention2d': (layers.PositionAttention2d, references.position_attention),
    'ChannelAttention2d': (
        lambda channels: layers.ChannelAttention2d(),
        references.channel_attention,
    ),
    'DualAttention2d': (layers.DualAttention2d, references.dual_attention),
    'DynamicMultiKernelECA2d': (
        layers.DynamicMultiKernelECA2d,
        references.dynamic_multi_kernel_eca,
    ),
    'BidirectionalECA2d': (layers.BidirectionalECA2d, references.bidirectional_eca),
    'MSCAM2d': (layers.MSCAM2d, references.ms_cam),
}

FUSIONS = {
    'DirectAddFusion': (layers.DirectAddFusion, lambda x, y, p: x + y),
    'AFF': (layers.AFF, references.aff),
    'IAFF': (layers.IAFF, references.iaff),
}

LAYERS = {**ATTENTIONS, **FUSIONS}


def inputs_of(name):
    return 2 if name in FUSIONS else 1
