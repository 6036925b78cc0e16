"""Devices by name."""

from typing import Optional

import torch

from ..errors import ConfigError


def usable_device(name: Optional[str] = None) -> torch.device:
    """Give a device that tensors can be put on.

    Args:
        name: Such as ``'cpu'`` or ``'cuda:1'``; a GPU if there is one, by default.

    Raises:
        ConfigError: If there is no such device.
    """
    name = name or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' cannot be used ({reason}); try cpu")
