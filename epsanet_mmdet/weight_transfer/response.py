"""How much of a donor's response a transplant keeps."""

from typing import Dict, Iterable, List, NamedTuple

import torch
from torch import Tensor, nn

from .channel_order import ChannelOrder
from .donor import named_blocks


class StageResponse(NamedTuple):
    """What one stage keeps; 1 is all, 0 as much as a response of zero would.

    Args:
        stage: Number from 1.
        output: Of the stage's output: 1 - |ours - donor| / |donor|.
        output_r2: Of its variance: 1 - |ours - donor|^2 / |donor - channel mean|^2.
        conv2: Of the 3x3 convolutions' responses after their norm and ReLU, as ``output``.
    """

    stage: int
    output: float
    output_r2: float
    conv2: float


class _Error:
    """Squared norms of a difference and of what it is a difference to."""

    def __init__(self) -> None:
        self.error = self.energy = self.count = 0.0
        self.mean = 0.0

    def add(self, ours: Tensor, theirs: Tensor) -> None:
        ours, theirs = ours.double(), theirs.double()
        self.error += float(((ours - theirs) ** 2).sum())
        self.energy += float((theirs**2).sum())
        self.mean = self.mean + theirs.sum((0, 2, 3))
        self.count += theirs[:, 0].numel()

    @property
    def kept(self) -> float:
        return 1 - (self.error / max(self.energy, 1e-30)) ** 0.5

    @property
    def r2(self) -> float:
        variance = self.energy - float((self.mean**2).sum()) / max(self.count, 1)
        return 1 - self.error / max(variance, 1e-30)


@torch.no_grad()
def response_kept(
    donor: nn.Module,
    ours: nn.Module,
    orders: Dict[str, ChannelOrder],
    batches: Iterable[Tensor],
) -> List[StageResponse]:
    """Compare a transplant's responses with its donor's, stage by stage.

    Args:
        donor: ResNet in eval mode.
        ours: EPSANet in eval mode.
        orders: Which of the donor's channels those of each block are.
        batches: Images that neither was fitted on.
    """
    seen: Dict[str, Tensor] = {}
    hooks = []
    for model, side in ((donor, 'donor'), (ours, 'ours')):
        for _, name, block in named_blocks(model):
            key = f'{side} {name}'
            hooks.append(
                block.norm2.register_forward_hook(
                    lambda module, _, out, key=key: seen.__setitem__(key, out.relu())
                )
            )
    stages = len(donor.res_layers)
    outputs, inner = [_Error() for _ in range(stages)], [_Error() for _ in range(stages)]
    try:
        for batch in batches:
            for error, mine, theirs in zip(outputs, ours(batch), donor(batch)):
                error.add(mine, theirs)
            for stage, name, _ in named_blocks(ours):
                channels = torch.from_numpy(orders[name].outputs)
                inner[stage - 1].add(seen[f'ours {name}'], seen[f'donor {name}'][:, channels])
            seen.clear()
    finally:
        for hook in hooks:
            hook.remove()
    return [
        StageResponse(i + 1, outputs[i].kept, outputs[i].r2, inner[i].kept) for i in range(stages)
    ]


def response_table(starts: Dict[str, List[StageResponse]]) -> str:
    """Write what several starts keep as a Markdown table, a line for each stage of each."""
    lines = [
        '| start | stage | output | variance of output | 3x3 |',
        '| --- | --- | --- | --- | --- |',
    ]
    for name, stages in starts.items():
        for s in stages:
            lines.append(
                f'| {name} | {s.stage} | {s.output:.3f} | {s.output_r2:.3f} | {s.conv2:.3f} |'
            )
    return '\n'.join(lines)
