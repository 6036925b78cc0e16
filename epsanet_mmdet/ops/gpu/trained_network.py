"""The training passes of a whole network, replayed as CUDA graphs.

A CPU needs longer to launch the kernels of a step one by one than a fast GPU to compute them.
"""

import warnings
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from weakref import ref

import torch
from torch import Tensor
from torch.autograd import Function

from ...models import EPSANet
from ..support import gradient_is_observed, modes_observe
from .compute import Compute
from .graphs import capture
from .setting import gpu_kernels

MEMORY = 1 / 2  # graphs are captured while torch has allocated at most this share of the GPU's
SIZES = 64  # of images that have graphs


class _State:
    launches = False


@contextmanager
def without_graphs() -> Iterator[None]:
    """Launch the kernels of all blocks one by one, in training those of frozen blocks too."""
    before, _State.launches = _State.launches, True
    try:
        yield
    finally:
        _State.launches = before


def launches_kernels() -> bool:
    """Return True within :func:`without_graphs`."""
    return _State.launches


class _Graphs(NamedTuple):
    """The passes of one size, and the memory that they read and write."""

    forward: Callable[[], None]
    backward: Callable[[], None]
    images: Tensor
    outs: List[Tensor]
    of_outs: List[Tensor]
    frozen: List[int]  # outputs of frozen stages


class _Turn:
    """A forward pass whose backward pass needs the memory that all graphs share."""

    used = False


class TrainedNetwork:
    """A network whose training passes are graphs, for sizes of images that come again.

    All sizes share their memory, so at most one forward pass waits for its backward pass. Others
    meanwhile are computed without graphs.

    Args:
        network: The network; its kernels launch without waiting for the GPU.
        compute: What computes.
    """

    def __init__(self, network: EPSANet, compute: Compute) -> None:
        self.network, self.compute = ref(network), compute
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.seen, self.graphs, self.memory = set(), {}, {}
        self.turn, self.failed = lambda: None, False
        self.pool = self.of_parameters = None

    def __call__(self, images: Tensor) -> Optional[Tuple[Tensor, ...]]:
        """Return the outputs for images (B, 3, H, W), or None where no graph computes them."""
        size = images.shape, images.dtype
        if size not in self.seen:
            self.seen.add(size)
            return None
        waiting = self.turn()
        if self.failed or waiting is not None and not waiting.used:
            return None
        if size not in self.graphs:
            if len(self.graphs) == SIZES or not _has_memory(images.device):
                return None
            self.graphs[size] = self._try_to_capture(images)
            if self.failed:
                return None
        return _Replay.apply(self, self.graphs[size], images, *self.parameters)

    def gradients(self) -> List[Optional[Tensor]]:
        """Return the gradients of the parameters that a graph has computed."""
        results, own = [None] * len(self.parameters), [self.parameters[i] for i in self.used]
        parts = self.of_parameters.clone().split([p.numel() for p in own])
        for i, p, part in zip(self.used, own, parts):
            results[i] = part.view(p.shape)
        return results

    def recompute(self, images: Tensor, grads: Sequence[Tensor]) -> List[Optional[Tensor]]:
        """Return the gradients of the parameters without graphs; they can be differentiated."""
        differentiated = torch.is_grad_enabled()
        outs = self._launch(images, self._copied_buffers())
        return _gradients(outs, self.parameters, grads, differentiated)

    def _launch(self, images: Tensor, others: Dict[Tensor, Tensor]) -> Tuple[Tensor, ...]:
        """Compute the network with other tensors in place of some of its own."""
        network, dtype = self.network(), self.compute.dtype
        cast = torch.autocast('cuda', dtype, dtype != torch.float32, cache_enabled=False)
        named = [group for m in network.modules() for group in (m._parameters, m._buffers)]
        before = [dict(group) for group in named]
        try:
            for group in named:
                group.update({name: others.get(t, t) for name, t in group.items()})
            with without_graphs(), torch.enable_grad(), cast:
                return network.forward(images)
        finally:
            for group, own in zip(named, before):
                group.update(own)

    def _copied_buffers(self) -> Dict[Tensor, Tensor]:
        """Return what replaces the buffers, for a pass that does not update them."""
        return {buffer: buffer.clone() for buffer in self.network().buffers()}

    def _try_to_capture(self, images: Tensor) -> Optional[_Graphs]:
        try:
            return self._capture(images)
        except Exception as error:
            self.graphs.clear()
            self.memory.clear()
            self.failed, self.pool, self.of_parameters = True, None, None
            torch.cuda.empty_cache()
            if gpu_kernels(images.device):  # or the reason was warned of
                reason = str(error).strip().splitlines()[:1]
                warnings.warn(
                    'EPSANet is trained without CUDA graphs, which take less time to launch: '
                    + ': '.join([type(error).__name__, *reason]),
                    stacklevel=2,
                )

    def _capture(self, images: Tensor) -> _Graphs:
        # What torch keeps for a parameter belongs to a stream that is not captured.
        aliases = {p: p.detach().requires_grad_() for p in self.parameters}
        leaves = list(aliases.values())

        # Every kernel is compiled, and compared with torch, before the capture.
        outs = self._launch(images, {**aliases, **self._copied_buffers()})
        grads = _gradients(outs, leaves, [torch.ones_like(out) for out in outs])
        if not gpu_kernels(images.device):
            raise RuntimeError('the kernels failed')
        self.used = [i for i, grad in enumerate(grads) if grad is not None]
        frozen = [i for i, out in enumerate(outs) if not out.requires_grad]
        (image,) = self._shared('images', [images])
        places, of_places = self._shared('outs', outs), self._shared('of_outs', outs)
        if self.of_parameters is None:
            self.of_parameters = self._joined(grads)
        del outs, grads
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        waiting = []

        def forward() -> None:
            waiting[:] = self._launch(image, aliases)
            for place, out in zip(places, waiting):
                place.copy_(out.detach())

        def backward() -> None:
            self._joined(_gradients(waiting, leaves, of_places), out=self.of_parameters)
            waiting.clear()

        forward, backward = capture(forward, self.pool), capture(backward, self.pool)
        return _Graphs(forward, backward, image, places, of_places, frozen)

    def _joined(self, grads: Sequence[Optional[Tensor]], out: Optional[Tensor] = None) -> Tensor:
        return torch.cat([grads[i].flatten() for i in self.used], out=out)

    def _shared(self, name: str, samples: Sequence[Tensor]) -> List[Tensor]:
        """Return tensors like others in the memory that the graphs of all sizes share."""
        needed = [-(-sample.nbytes // 512) * 512 for sample in samples]
        memory = self.memory.get(name)
        if memory is None or len(memory) < sum(needed):
            self.graphs.clear()  # they use the smaller memory
            memory = samples[0].new_empty(sum(needed) * 5 // 4, dtype=torch.uint8)
            self.memory[name] = memory
        parts = zip(memory.split([*needed, len(memory) - sum(needed)]), samples)
        return [
            part[: sample.numel() * sample.element_size()]
            .view(sample.dtype)
            .as_strided(sample.shape, torch.empty_like(sample, device='meta').stride())
            for part, sample in parts
        ]


class _Replay(Function):
    @staticmethod
    def forward(
        ctx, trained: TrainedNetwork, graphs: _Graphs, images: Tensor, *parameters: Tensor
    ) -> Tuple[Tensor, ...]:
        ctx.trained, ctx.graphs, ctx.turn = trained, graphs, _Turn()
        ctx.save_for_backward(images, *parameters)
        trained.turn = ref(ctx.turn)
        graphs.images.copy_(images)
        graphs.forward()
        outs = [out.clone() for out in graphs.outs]
        ctx.mark_non_differentiable(*(outs[i] for i in graphs.frozen))
        return tuple(outs)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        images, *_ = ctx.saved_tensors  # raises an error if any was changed in place
        trained, graphs = ctx.trained, ctx.graphs
        if ctx.turn.used or any(map(gradient_is_observed, grads)) or modes_observe():
            return None, None, None, *trained.recompute(images, grads)
        ctx.turn.used = True
        for place, grad in zip(graphs.of_outs, grads):
            place.copy_(grad)
        graphs.backward()
        return None, None, None, *trained.gradients()


def _gradients(
    outs: Sequence[Tensor],
    parameters: Sequence[Tensor],
    grads: Sequence[Tensor],
    create_graph: bool = False,
) -> Sequence[Optional[Tensor]]:
    """Return the gradients of parameters; some outputs and parameters may have none."""
    outs, grads = zip(*(pair for pair in zip(outs, grads) if pair[0].requires_grad))
    return torch.autograd.grad(
        outs, parameters, grads, create_graph=create_graph, allow_unused=True
    )


def _has_memory(device: torch.device) -> bool:
    total = torch.cuda.get_device_properties(device).total_memory
    return torch.cuda.max_memory_allocated(device) <= total * MEMORY
