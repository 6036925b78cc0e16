"""When modules may be computed together instead of being called one by one."""

import torch
from torch import Tensor, nn


def may_be_bypassed(kind: type, *modules: nn.Module) -> bool:
    """Whether all are of exactly this kind, and calling them does nothing besides."""
    return all(type(module) is kind for module in modules) and not hooked(*modules)


def hooked(*modules: nn.Module) -> bool:
    """Whether calling any of them calls something else too."""
    return any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
        for module in modules
    )


def any_learns(x: Tensor, *modules: nn.Module) -> bool:
    """Whether gradients of x or of any parameter of the modules may be asked for."""
    if not torch.is_grad_enabled():
        return False
    return x.requires_grad or any(p.requires_grad for m in modules for p in m.parameters())
