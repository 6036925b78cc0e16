"""EPSANet whose stages select among the depths of their blocks (arXiv 2204.04674)."""

from mmdet.registry import MODELS

from .epsanet import EPSABlock, EPSANet
from .sda_resnet import DepthMixin, SDABase


class SDAEPSABlock(DepthMixin, EPSABlock):
    """Block of EPSANet as a depth of :class:`SDAStage`."""


@MODELS.register_module()
class SDAEPSANet(EPSANet, SDABase):
    """EPSANet whose stages select among the depths of their blocks.

    Paper: `SDA-xNet <https://arxiv.org/abs/2204.04674>`_, which has no code of it. Depth 86 is
    inferred from the other networks of the paper, see ``configs/sdanet/README.md``.

    Args:
        depth (int): 50, 86, 101 or 152.
        sda_reduction (int): Reduction ratio of the depth attention.
        sda_min_hidden (int): Least hidden width of the depth attention.
        **kwargs: All options of :class:`EPSANet`; the depth attention uses its ``norm_cfg``.

    Raises:
        ArgumentError: If the depth or arch is unknown, or the branches do not fit the width.
    """

    arch_settings = {
        depth: (EPSABlock, blocks) for depth, (_, blocks) in SDABase.arch_settings.items()
    }
    depth_block = SDAEPSABlock

    def __init__(self, depth: int = 86, **kwargs) -> None:
        super().__init__(depth, **kwargs)
