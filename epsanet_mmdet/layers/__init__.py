"""Attention and fusion layers in plain torch, one file per paper."""

from .aff import AFF, FUSIONS, IAFF, DirectAddFusion, MSCAM2d, check_fusion
from .bam import BAM2d
from .cbam import CBAM2d, SoftChannelAttention2d, SpatialAttention2d
from .coord_attention import CoordAttention2d
from .danet import ChannelAttention2d, DualAttention2d, PositionAttention2d
from .eca import BidirectionalECA2d, DynamicMultiKernelECA2d, ECALayer2d
from .emba import SplitPSAModule
from .fca import FcaLayer2d
from .norm import CPUSyncBatchNorm2d, PooledBatchNorm2d
from .psa import PSAModule
from .pyconv import PyConv2d
from .se import SELayer2d, SqueezeMLP
from .sk import SKConv2d

__all__ = [
    'AFF',
    'BAM2d',
    'BidirectionalECA2d',
    'CBAM2d',
    'CPUSyncBatchNorm2d',
    'ChannelAttention2d',
    'CoordAttention2d',
    'DirectAddFusion',
    'DualAttention2d',
    'DynamicMultiKernelECA2d',
    'ECALayer2d',
    'FUSIONS',
    'FcaLayer2d',
    'IAFF',
    'MSCAM2d',
    'PSAModule',
    'PooledBatchNorm2d',
    'PositionAttention2d',
    'PyConv2d',
    'SELayer2d',
    'SKConv2d',
    'SoftChannelAttention2d',
    'SpatialAttention2d',
    'SplitPSAModule',
    'SqueezeMLP',
    'check_fusion',
]
