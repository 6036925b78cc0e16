"""Functions of tensors as operators, which autograd and ``torch.compile`` know."""

import functools
from typing import Callable

import torch


def operator(fake: Callable) -> Callable[[Callable], Callable]:
    """Register a function as the operator ``epsanet_mmdet::NAME`` on CPUs.

    Its schema follows from the annotations. Torch's dispatcher takes about 30 us per call, so the
    result calls the function directly unless gradients are recorded or code is compiled.

    Args:
        fake: Function of the same arguments that returns empty tensors of the result's shapes.
    """

    def register(function: Callable) -> Callable:
        name = f'epsanet_mmdet::{function.__name__}'
        schema = torch.library.infer_schema(function, mutates_args=())
        torch.library.define(name, schema, tags=torch.Tag.pt2_compliant_tag)
        torch.library.impl(name, 'cpu', function)
        torch.library.register_fake(name, fake)
        dispatched = getattr(torch.ops.epsanet_mmdet, function.__name__)

        @functools.wraps(function)
        def call(*args, **kwargs):
            if torch.is_grad_enabled() or torch.compiler.is_compiling():
                return dispatched(*args, **kwargs)
            return function(*args, **kwargs)

        return call

    return register
