"""Reconstruction error of an EPSANet's activations, relative to its teacher's."""

from typing import Dict, Iterable, List, NamedTuple

import torch
from mmdet.models.backbones.resnet import ResNet
from torch import Tensor

from ..models.epsanet import EPSANet
from .permutation import Permutation
from .teacher import named_blocks


class StageReconstruction(NamedTuple):
    """How well one stage reproduces the teacher: 1 is exact, 0 is as bad as all zeros.

    Args:
        stage: Number from 1.
        output: 1 - relative reconstruction error of the stage's output, that is,
            1 - |student - teacher| / |teacher|.
        output_r2: R^2 of the same, 1 - |student - teacher|^2 / |teacher - channel mean|^2.
        conv2: As ``output``, for the responses of the 3x3 convolutions after norm and ReLU.
    """

    stage: int
    output: float
    output_r2: float
    conv2: float


class _Error:
    """Squared norms of a difference and of the teacher's activations."""

    def __init__(self) -> None:
        self.error = self.energy = self.count = 0.0
        self.sums = 0.0

    def add(self, student: Tensor, teacher: Tensor) -> None:
        student, teacher = student.double(), teacher.double()
        self.error += float(((student - teacher) ** 2).sum())
        self.energy += float((teacher**2).sum())
        self.sums = self.sums + teacher.sum((0, 2, 3))
        self.count += teacher[:, 0].numel()

    @property
    def kept(self) -> float:
        return 1 - (self.error / max(self.energy, 1e-30)) ** 0.5

    @property
    def r2(self) -> float:
        variance = self.energy - float((self.sums**2).sum()) / max(self.count, 1)
        return 1 - self.error / max(variance, 1e-30)


@torch.no_grad()
def measure_reconstruction(
    teacher: ResNet,
    student: EPSANet,
    permutations: Dict[str, Permutation],
    batches: Iterable[Tensor],
) -> List[StageReconstruction]:
    """Measure how well a student reproduces its teacher, stage by stage.

    Args:
        teacher: In eval mode.
        student: In eval mode.
        permutations: Of every block by name, as :func:`~.methods.transplant` returns them.
        batches: Images that the student was not fitted on, (b, 3, h, w).
    """
    seen: Dict[tuple, Tensor] = {}
    hooks = [
        block.norm2.register_forward_hook(
            lambda module, _, out, key=(model, name): seen.__setitem__(key, out.relu())
        )
        for model in (teacher, student)
        for _, name, block in named_blocks(model)
    ]
    stages = len(teacher.res_layers)
    outputs, inner = [_Error() for _ in range(stages)], [_Error() for _ in range(stages)]
    try:
        for batch in batches:
            for error, ours, theirs in zip(outputs, student(batch), teacher(batch)):
                error.add(ours, theirs)
            for stage, name, _ in named_blocks(student):
                channels = torch.from_numpy(permutations[name].outputs)
                inner[stage - 1].add(seen[student, name], seen[teacher, name][:, channels])
            seen.clear()
    finally:
        for hook in hooks:
            hook.remove()
    return [
        StageReconstruction(stage, output.kept, output.r2, conv2.kept)
        for stage, (output, conv2) in enumerate(zip(outputs, inner), start=1)
    ]


def reconstruction_table(starts: Dict[str, List[StageReconstruction]]) -> str:
    """Return a Markdown table with a line for each stage of each start."""
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
