"""A whole network in evaluation mode, replayed as a CUDA graph."""

from collections import OrderedDict
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..block import BlockParts, Stem
from .compute import Compute, as_nchw
from .evaluation import EvaluatedBlock, EvaluatedStem
from .graphs import capture

MEMORY = 1 / 16  # of the GPU's, for the inputs and outputs of all graphs


class _Graph(NamedTuple):
    replay: Callable[[], None]
    images: Tensor
    outs: List[Tensor]

    @property
    def bytes(self) -> int:
        """Memory of the inputs and outputs; graphs share the rest."""
        return sum(t.nbytes for t in (self.images, *self.outs))


class EvaluatedNetwork:
    """A network prepared for evaluation.

    The second pass over a size of images is captured as a CUDA graph, and the next ones replay it.
    Their outputs are copies. The sizes that were not used for longest are forgotten.

    Args:
        stem: Parts of the stem.
        stages: Parts of the blocks of each stage.
        out_indices: Stages whose outputs are returned.
        compute: What computes.
    """

    def __init__(
        self,
        stem: Stem,
        stages: Sequence[Sequence[BlockParts]],
        out_indices: Sequence[int],
        compute: Compute,
    ) -> None:
        self.stem = EvaluatedStem(stem.conv, stem.norm, compute)
        self.stages = [[EvaluatedBlock(parts, compute) for parts in stage] for stage in stages]
        self.out_indices = out_indices
        self.graphs: OrderedDict[tuple, _Graph] = OrderedDict()
        self.seen = set()
        self.pool = None

    def __call__(self, images: Tensor) -> Tuple[Tensor, ...]:
        """Return the outputs of the stages for images (B, 3, H, W)."""
        size = images.shape, images.dtype
        if torch.cuda.is_current_stream_capturing() or size not in self.seen:
            self.seen.add(size)
            return tuple(self._run(images))
        if size not in self.graphs:
            self.graphs[size] = self._capture(images)
            self._forget(torch.cuda.get_device_properties(images.device).total_memory * MEMORY)
        return self.replay(images)

    def replay(self, images: Tensor) -> Optional[Tuple[Tensor, ...]]:
        """Return the outputs by a graph, or None if this size has none."""
        size = images.shape, images.dtype
        found = self.graphs.get(size)
        if found is None or torch.cuda.is_current_stream_capturing():
            return None
        self.graphs.move_to_end(size)
        found.images.copy_(images)
        found.replay()
        return tuple(out.clone() for out in found.outs)

    def _forget(self, most: float) -> None:
        while len(self.graphs) > 1 and sum(g.bytes for g in self.graphs.values()) > most:
            size, _ = self.graphs.popitem(last=False)
            self.seen.discard(size)

    def _run(self, images: Tensor) -> List[Tensor]:
        x, outs = self.stem(images), []
        for i, stage in enumerate(self.stages):
            for block in stage:
                x = block(x)
            if i in self.out_indices:
                outs.append(as_nchw(x))
        return outs

    def _capture(self, images: Tensor) -> _Graph:
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        images, outs = images.clone(), []
        return _Graph(capture(lambda: outs.extend(self._run(images)), self.pool), images, outs)
