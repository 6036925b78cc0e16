"""Grad-CAM of detections: where in the image lies what raised the score of an object."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, List, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import ArgumentError
from ..utils.text import suggestion

BACKBONE = 'backbone'


@dataclass
class Cam:
    """Class activation map of a detection.

    Args:
        heat: float32 of shape (height, width), the size of the image, from 0 to 1; zero everywhere
            if nothing raised the score.
        stage: Which output of the layer it was computed from, from 1.
        stages: Number of outputs of the layer.
    """

    heat: Tensor
    stage: int
    stages: int


def detect_with_cams(
    model: nn.Module,
    data: Any,
    count: int,
    score_thr: float = 0.3,
    layer: str = BACKBONE,
    hires: bool = False,
) -> Tuple[DetDataSample, List[Cam]]:
    """Detect objects in an image and return a map for each of those with the highest scores.

    The score of a detection is differentiated as the detector returns it, behind non-maximum
    suppression, which only selects. With proposals, their boxes are held constant. If the layer
    has several outputs, such as the stages of a backbone, the map is that of the output with the
    largest first-order contribution ``sum |gradient * activation|``.

    Grad-CAM (`arXiv 1610.02391 <https://arxiv.org/abs/1610.02391>`_) weights the channels of the
    activation by their mean gradient, HiResCAM (`arXiv 2011.08891
    <https://arxiv.org/abs/2011.08891>`_) every value by its own gradient.

    Args:
        model: A detector in evaluation mode.
        data: A batch of one image, as ``model.test_step`` expects it.
        count: Maximum number of maps.
        score_thr: Leave out detections with a lower score.
        layer: Name of a module of the model that returns one map or several.
        hires: Compute HiResCAM instead of Grad-CAM.

    Returns:
        The detections, highest score first, and the maps of the first of them.

    Raises:
        ArgumentError: If the layer does not exist or returns no map, or if the scores do not
            depend on it.
    """
    with (
        _without_weight_gradients(model),
        _attached(model),
        _leaves(model, layer) as leaves,
        torch.enable_grad(),
    ):
        sample = model.test_step(data)[0]
        if not leaves:
            raise ArgumentError(f"layer '{layer}' returns no feature map; choose another --layer")
        found = sample.pred_instances
        found = found[found.scores.detach() >= score_thr]
        found = found[found.scores.detach().argsort(descending=True, stable=True)]
        cams = []
        for score in found.scores[:count]:
            gradients = _gradients(score, leaves, layer)
            activations = [leaf.detach() for leaf in leaves]
            strengths = [float((g * a).abs().sum()) for g, a in zip(gradients, activations)]
            best = strengths.index(max(strengths))
            heat = class_activation(activations[best], gradients[best], hires)
            cams.append(Cam(_fit(heat, sample.metainfo), best + 1, len(leaves)))
    sample.pred_instances = found.detach()
    return sample, cams


def class_activation(activation: Tensor, gradient: Tensor, hires: bool = False) -> Tensor:
    """Return the class activation map, scaled to a maximum of 1.

    Args:
        activation: (1, C, H, W).
        gradient: Gradient of a score with respect to it, of the same shape.
        hires: Weight by the gradient of every value instead of its mean over the positions.

    Shape:
        (1, 1, H, W).
    """
    weights = gradient if hires else gradient.mean(dim=(2, 3), keepdim=True)
    heat = (weights * activation).sum(dim=1, keepdim=True).relu()
    peak = heat.max()
    return heat / peak if peak > 0 else heat


def _gradients(score: Tensor, leaves: Sequence[Tensor], layer: str) -> List[Tensor]:
    found = [None] * len(leaves)
    if score.requires_grad:
        found = torch.autograd.grad(score, leaves, retain_graph=True, allow_unused=True)
    if all(gradient is None for gradient in found):
        raise ArgumentError(
            f"the scores have no gradient with respect to layer '{layer}'; choose another --layer, "
            f'or Mask R-CNN, Faster R-CNN or RetinaNet'
        )
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves)]


@contextmanager
def _leaves(model: nn.Module, layer: str) -> Iterator[List[Tensor]]:
    """Cut the graph at the maps that a layer returns, and yield them after a forward pass."""
    modules = dict(model.named_modules())
    if layer not in modules:
        raise ArgumentError(
            f"the detector has no layer '{layer}'; {suggestion(layer, list(modules)[1:], most=3)}"
        )
    leaves: List[Tensor] = []

    def cut(module: nn.Module, inputs: Any, output: Any) -> Any:
        several = isinstance(output, (tuple, list))
        outputs = list(output) if several else [output]
        for i, value in enumerate(outputs):
            if isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point():
                leaves.append(value if value.requires_grad else value.clone().requires_grad_())
                outputs[i] = leaves[-1].clone()  # which the next layer may change in place
        return type(output)(outputs) if several else outputs[0]

    handle = modules[layer].register_forward_hook(cut)
    try:
        yield leaves
    finally:
        handle.remove()


class _Attached(TorchFunctionMode):
    """Let ``detach`` return its argument."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return args[0] if function is Tensor.detach else function(*args, **(kwargs or {}))


@contextmanager
def _attached(model: nn.Module) -> Iterator[None]:
    """Keep the graph of the scores in heads of one stage, which detach them to predict."""
    head = getattr(model, 'bbox_head', None)
    if head is None:
        yield
        return
    predict = head.predict

    def attached(*args: Any, **kwargs: Any) -> Any:
        with _Attached():
            return predict(*args, **kwargs)

    head.predict = attached
    try:
        yield
    finally:
        del head.predict


@contextmanager
def _without_weight_gradients(model: nn.Module) -> Iterator[None]:
    """Record no graph of what comes before the leaves, which takes most of the memory."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _fit(heat: Tensor, meta: dict) -> Tensor:
    """Return a map in the size of the image: enlarged, without the padding, and scaled back."""
    height, width = meta['img_shape'][:2]
    padded = meta.get('batch_input_shape', (height, width))
    heat = F.interpolate(heat.float(), size=tuple(padded), mode='bilinear')[..., :height, :width]
    heat = F.interpolate(heat, size=tuple(meta['ori_shape'][:2]), mode='bilinear')
    return heat[0, 0].clamp(0, 1).cpu()
