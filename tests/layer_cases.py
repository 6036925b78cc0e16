"""Every attention and fusion layer, small, with the reference it must equal."""

from functools import partial

import layer_references as references

from epsanet_mmdet import layers

CHANNELS = 64

ATTENTIONS = {
    'SELayer2d': (layers.SELayer2d, references.se),
    'SELayer2d with bias': (partial(layers.SELayer2d, bias=True), references.se),
    'ECALayer2d': (layers.ECALayer2d, references.eca),
    'ECALayer2d of size 7': (partial(layers.ECALayer2d, kernel_size=7), references.eca),
    'SoftChannelAttention2d': (layers.SoftChannelAttention2d, references.soft_channel),
    'CBAM2d': (layers.CBAM2d, references.cbam),
    'CBAM2d as coded': (partial(layers.CBAM2d, as_coded=True), references.cbam_as_coded),
    'BAM2d': (layers.BAM2d, references.bam),
    'BAM2d as coded': (partial(layers.BAM2d, as_coded=True), references.bam_as_coded),
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
    'ChannelAttention2d as coded': (
        lambda channels: layers.ChannelAttention2d(as_coded=True),
        references.channel_attention_as_coded,
    ),
    'DualAttention2d': (layers.DualAttention2d, references.dual_attention),
    'DualAttention2d as coded': (
        partial(layers.DualAttention2d, as_coded=True),
        partial(references.dual_attention, channel_attention=references.channel_attention_as_coded),
    ),
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
    'PointwiseAFF': (layers.PointwiseAFF, references.pointwise_aff),
    'RefinementFusion': (layers.RefinementFusion, references.refinement),
    'GatedSumFusion': (layers.GatedSumFusion, references.gated_sum),
    'SelectiveDepthAttention2d': (
        partial(layers.SelectiveDepthAttention2d, depths=2),
        references.selective_depth,
    ),
}

CONVOLUTIONS = {
    'PSAModule without softmax': (
        lambda c: layers.PSAModule(c, c, attention_type='sigmoid'),
        references.psa_without_softmax,
    ),
    'PSAModule without attention': (
        lambda c: layers.PSAModule(c, c, attention_type='none'),
        references.psa_without_attention,
    ),
    'PyConv2d': (lambda c: layers.PyConv2d(c, c), references.pyconv),
    'PyConv2d of 3 levels': (
        lambda c: layers.PyConv2d(c, c, (3, 5, 7), (1, 4, 8)),
        references.pyconv,
    ),
    'SplitPSAModule': (lambda c: layers.SplitPSAModule(c, c), references.split_psa),
    'SKConv2d': (lambda c, **options: layers.SKConv2d(c, c, **options), references.sk),
}

LAYERS = {**ATTENTIONS, **FUSIONS, **CONVOLUTIONS}


def inputs_of(name):
    return 2 if name in FUSIONS else 1
