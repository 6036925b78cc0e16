"""Attention and fusion layers in plain torch, one file per paper."""

from .aff import AFF, IAFF, DirectAddFusion, MSCAM2d
from .aff_variants import GatedSumFusion, PointwiseAFF, RefinementFusion
from .bam import BAM2d
from .cbam import CBAM2d, SoftChannelAttention2d, SpatialAttention2d
from .coord_attention import CoordAttention2d
from .danet import ChannelAttention2d, DualAttention2d, PositionAttention2d
from .eca import BidirectionalECA2d, DynamicMultiKernelECA2d, ECALayer2d
from .emba import SplitPSAModule
from .fca import FcaLayer2d
from .fusions import FUSIONS, check_fusion
from .norm import CPUSyncBatchNorm2d, PooledBatchNorm2d
from .psa import PSAModule
from .pyconv import PyConv2d
from .sda import SelectiveDepthAttention2d
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
    'GatedSumFusion',
    'IAFF',
    'MSCAM2d',
    'PSAModule',
    'PointwiseAFF',
    'PooledBatchNorm2d',
    'PositionAttention2d',
    'PyConv2d',
    'RefinementFusion',
    'SELayer2d',
    'SKConv2d',
    'SelectiveDepthAttention2d',
    'SoftChannelAttention2d',
    'SpatialAttention2d',
    'SplitPSAModule',
    'SqueezeMLP',
    'check_fusion',
]
