"""Passes through a network: inference and training steps of a given size and precision."""

import contextlib
import functools
from typing import Callable, NamedTuple, Optional

import torch
from torch import nn

from ..errors import ArgumentError
from .library import library_only
from .networks import Network

INFERENCE, TRAINING = 'inference', 'training'
PRECISIONS = {
    'fp32': torch.float32,
    'tf32': torch.float32,
    'bf16': torch.bfloat16,
    'fp16': torch.float16,
}
OBJECTS = 7  # per image of a training batch, about as many as in COCO
LEAST_SIZE = 32  # stride of the last stage of a ResNet


class Input(NamedTuple):
    """Size of a batch of images, in pixels."""

    batch: int
    height: int
    width: int

    def __str__(self) -> str:
        return f'{self.batch}x3x{self.height}x{self.width}'


def parse_input(text: str) -> Input:
    """Parse ``BATCHxHEIGHTxWIDTH``.

    Raises:
        ArgumentError: If the text has another form, or the size is too small for a ResNet.
    """
    numbers = text.split('x')
    if len(numbers) == 4 and numbers[1] == '3':
        del numbers[1]
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        raise ArgumentError(f"input '{text}' is not BATCHxHEIGHTxWIDTH, such as 1x320x320")
    batch, height, width = map(int, numbers)
    if batch < 1 or min(height, width) < LEAST_SIZE:
        raise ArgumentError(
            f"input '{text}' is too small; use a batch of at least 1 and sides of at least "
            f'{LEAST_SIZE} pixels'
        )
    return Input(batch, height, width)


def make_pass(
    network: Network, task: str, size: Input, device: torch.device, precision: str
) -> Callable[[], Optional[torch.Tensor]]:
    """Return a function that runs one forward pass, in training with its backward pass.

    Args:
        network: Backbone or detector.
        task: :data:`INFERENCE` or :data:`TRAINING`.
        size: Size of the batch.
        device: Device of the network.
        precision: One of :data:`PRECISIONS`; those of 16 bits use autocast.

    Returns:
        The function. In training, its attribute ``loss`` runs only the forward pass.
    """
    forward = (_detector_pass if network.is_detector else _backbone_pass)(
        network.module, task, size, device, 'channels-last' in network.options
    )
    network.module.train(task == TRAINING)
    dtype = choose_precision(precision, device)
    cast = functools.partial(torch.autocast, device.type, dtype, enabled=dtype != torch.float32)
    kernels = library_only() if 'library' in network.options else contextlib.nullcontext
    if task == INFERENCE:

        @torch.no_grad()
        def infer() -> None:
            _switch(network.module, False)
            with cast(), kernels():
                forward()

        return infer

    def loss() -> torch.Tensor:
        _switch(network.module, True)
        with cast(), kernels():
            return forward()

    def train() -> None:
        network.module.zero_grad(set_to_none=True)
        with kernels():
            loss().backward()

    train.loss = loss
    return train


def _switch(module: nn.Module, training: bool) -> None:
    # Switching every submodule takes as long as launching dozens of kernels.
    if module.training != training:
        module.train(training)


def _backbone_pass(
    backbone: nn.Module, task: str, size: Input, device: torch.device, channels_last: bool
) -> Callable[[], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size.batch, 3, size.height, size.width, generator=generator).to(device)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)

    def forward() -> torch.Tensor:
        outputs = backbone(images)
        return sum(output.float().mean() for output in outputs) if task == TRAINING else None

    return forward


def _detector_pass(
    detector: nn.Module, task: str, size: Input, device: torch.device, channels_last: bool
) -> Callable[[], torch.Tensor]:
    from mmdet.testing import demo_mm_inputs

    data = demo_mm_inputs(
        size.batch,
        (3, size.height, size.width),
        num_items=[OBJECTS] * size.batch,
        with_mask=True,
        device=device,
    )
    for sample in data['data_samples']:
        sample.gt_instances.labels.zero_()  # a class that every detector has
    data = detector.data_preprocessor(data, task == TRAINING)
    if channels_last:
        data['inputs'] = data['inputs'].contiguous(memory_format=torch.channels_last)

    def forward() -> torch.Tensor:
        if task == INFERENCE:
            return detector(**data, mode='predict')
        return detector.parse_losses(detector(**data, mode='loss'))[0]

    return forward


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """Set up a device for a precision and return the dtype of its values.

    Raises:
        ArgumentError: If the precision does not exist, or the device does not support it.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(
            f"there is no precision '{precision}'; choose one of {', '.join(PRECISIONS)}"
        )
    if device.type == 'cuda':
        torch.cuda.set_device(device)
        torch.backends.cudnn.allow_tf32 = precision == 'tf32'
        torch.backends.cuda.matmul.allow_tf32 = precision == 'tf32'
    elif precision in ('tf32', 'fp16'):
        raise ArgumentError(f'precision {precision} needs a GPU; choose fp32 or bf16 on {device}')
    return PRECISIONS[precision]
