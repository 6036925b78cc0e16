"""Feature pyramid with attentional feature fusion (arXiv 2009.14082)."""

import torch.nn.functional as F
from mmdet.models.necks import FPN
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import ArgumentError
from ..layers import FUSIONS, check_fusion
from .norm_cfg import norm_layer_of


@MODELS.register_module()
class AFFFPN(FPN):
    """FPN that fuses a level with the one above it by attention instead of adding them.

    Paper: `Attentional Feature Fusion <https://arxiv.org/abs/2009.14082>`_ (long skip
    connections). The fusions use ``norm_cfg``, by default batch normalisation. With one or two
    images per GPU, train with ``sync_bn='torch'``.

    Args:
        in_channels (list[int]): See mmdet's ``FPN``.
        out_channels (int): See mmdet's ``FPN``.
        num_outs (int): See mmdet's ``FPN``.
        fusion (str): One of :data:`~epsanet_mmdet.layers.FUSIONS`; ``'add'`` makes a plain FPN.
        reduction (int): Reduction ratio of the fusions.
        **kwargs: All options of mmdet's ``FPN``.

    Raises:
        ArgumentError: If the fusion is unknown, or the number of maps is not that of
            ``in_channels``.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int,
        num_outs: int,
        fusion: str = 'aff',
        reduction: int = 4,
        **kwargs,
    ) -> None:
        check_fusion('AFFFPN', fusion)
        super().__init__(in_channels, out_channels, num_outs, **kwargs)
        norm_layer = norm_layer_of(kwargs.get('norm_cfg'))
        self.fusions = nn.ModuleList(
            FUSIONS[fusion](out_channels, reduction, norm_layer=norm_layer)
            for _ in self.lateral_convs[1:]
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if len(inputs) != len(self.in_channels):
            raise ArgumentError(
                f'AFFFPN needs {len(self.in_channels)} maps, one for each of its in_channels, but '
                f'got {len(inputs)}; correct out_indices of the backbone'
            )
        laterals = self._top_down(inputs)
        outs = [conv(lateral) for conv, lateral in zip(self.fpn_convs, laterals)]
        if not self.add_extra_convs:
            while len(outs) < self.num_outs:
                outs.append(F.max_pool2d(outs[-1], 1, stride=2))
            return tuple(outs)
        sources = {
            'on_input': inputs[self.backbone_end_level - 1],
            'on_lateral': laterals[-1],
            'on_output': outs[-1],
        }
        x = sources[self.add_extra_convs]
        for conv in self.fpn_convs[len(laterals) :]:
            outs.append(conv(x))
            x = outs[-1].relu() if self.relu_before_extra_convs else outs[-1]
        return tuple(outs)

    def _top_down(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, inputs[self.start_level :])]
        for i in range(len(laterals) - 1, 0, -1):
            # Like mmdet's FPN, resize to the lower level unless upsample_cfg has a scale_factor.
            sized = (
                {} if 'scale_factor' in self.upsample_cfg else dict(size=laterals[i - 1].shape[2:])
            )
            upper = F.interpolate(laterals[i], **sized, **self.upsample_cfg)
            laterals[i - 1] = self.fusions[i - 1](laterals[i - 1], upper)
        return laterals
