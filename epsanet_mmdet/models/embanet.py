"""EMBANet backbones with a split input (arXiv 2407.05418)."""

from mmdet.registry import MODELS

from ..layers import SplitPSAModule
from .epsanet import EPSABlock, EPSANet


class EMBABlock(EPSABlock):
    """EPSANet's block with a :class:`SplitPSAModule`."""

    psa_class = SplitPSAModule


@MODELS.register_module()
class EMBANet(EPSANet):
    """EMBANet in its split form: an EPSANet whose branches share the input of each PSA module.

    Paper: `EMBANet: A Flexible Efficient Multi-branch Attention Network
    <https://arxiv.org/abs/2407.05418>`_. Its other form, in which every branch receives the whole
    input, is :class:`EPSANet`.

    The authors released no code. The split is that of the paper; the attention, kernels, groups and
    widths are inferred from EPSANet and not confirmed by any published count
    (``configs/embanet``).

    The arguments are those of :class:`EPSANet`.
    """

    arch_settings = {
        depth: (EMBABlock, blocks) for depth, (_, blocks) in EPSANet.arch_settings.items()
    }
